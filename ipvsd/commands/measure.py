"""Measures what estimation costs on this host: each estimation run, and round trips."""

import argparse
import functools
import json
import os
import sys
from typing import Any, Dict, Optional, Tuple

from ipvsd.commands.arguments import duration
from ipvsd.commands.output import Output, confirm
from ipvsd.config import estimation_dropin
from ipvsd.config import files as config_files
from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import check_all
from ipvsd.enforce.decide import HOLD_NS
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.measure import compare, measurement, ping, plot, saved_file, session, text_report
from ipvsd.measure.sampler import Task
from ipvsd.measure.session import Result, Setup
from ipvsd.measure.text_chart import can_blocks
from ipvsd.model import NS_PER_MS, NS_PER_S, Exit, GuardError, Identity, Policy, Scope, Selector
from ipvsd.status.reload import apply_configuration
from ipvsd.system.terminal import Progress
from ipvsd.text import format_duration, plural

# Ten estimation runs of a timer.
_DURATION_NS = 20 * NS_PER_S
# 200 probes between two estimation runs of a timer.
_INTERVAL_NS = 10 * NS_PER_MS
# Some versions of ping refuse a shorter interval, which would be a flood.
_SHORTEST_INTERVAL_NS = 2 * NS_PER_MS
_LONGEST_NS = 3600 * NS_PER_S


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--duration",
        type=duration,
        default=_DURATION_NS,
        metavar="TIME",
        help="time to measure; with --compare, of each of the three phases (default: 20s)",
    )
    parser.add_argument("--ping", metavar="HOST", help="measure round trips to this host too")
    parser.add_argument(
        "--interval",
        type=duration,
        default=_INTERVAL_NS,
        metavar="TIME",
        help="time between two probes of --ping (default: 10ms)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="only these: a name, or name:, cgroup:, container:, unit: and a glob",
    )
    parser.add_argument(
        "--compare", action="store_true", help="measure with estimation on, off, and off again"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before --compare")
    parser.add_argument("--save", metavar="FILE", help="write the measurement to a file")
    parser.add_argument(
        "--show", metavar="FILE", help="show a saved measurement, and measure nothing"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw a plot into an .svg or .png file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Measure, or load a saved measurement; then save, print and draw it as the options say."""
    _check(options)
    if options.show is not None:
        document, code = saved_file.load(options.show), Exit.AS_WANTED
    else:
        document, code = _measure(options, output)
    if options.save is not None:
        saved_file.save(options.save, json.dumps(document, indent=2) + "\n")
    if options.json:
        output.json(document)
    else:
        for line in text_report.lines(document, not can_blocks(sys.stdout.encoding or "ascii")):
            output.line(line)
    if options.plot is not None:
        plot.draw(document, options.plot)
    return code


def _check(options: argparse.Namespace) -> None:
    """Raise GuardError for options that cannot work, before anything is measured."""
    if not NS_PER_S <= options.duration <= _LONGEST_NS:
        raise GuardError("--duration is not between 1s and 1h", Exit.USAGE)
    if options.compare and options.duration < HOLD_NS:
        text = format_duration(HOLD_NS)
        raise GuardError(f"--compare needs a --duration of at least {text}", Exit.USAGE)
    if not _SHORTEST_INTERVAL_NS <= options.interval <= options.duration:
        raise GuardError("--interval is not between 2ms and the duration", Exit.USAGE)
    if options.show is not None and (options.compare or options.save or options.ping):
        message = "--show measures nothing: it can be combined with --plot and --json only"
        raise GuardError(message, Exit.USAGE)
    if options.ping is not None and os.geteuid() == 0:
        ping.check()
    if options.plot is not None:
        plot.check(options.plot)
    if options.save is not None:
        saved_file.check(options.save)


def _measure(options: argparse.Namespace, output: Output) -> Tuple[Dict[str, Any], Exit]:
    selector = _selector(options.namespace)
    selectors = () if selector is None else (selector,)
    policy = config_files.load(options.places).policy
    is_root = os.geteuid() == 0
    if not is_root:
        policy = policy._replace(scope=Scope.HOST)  # entering the others needs root
    there = session.setup(options.root, policy, selectors)
    task = Task(options.duration, options.ping, options.interval)
    progress = Progress(not options.quiet)
    if not is_root:
        text = "measure: needs root, to set kprobes and to enter namespaces"
        output.problem(f"{text}; shows only the expected cost in the host's namespace")
        result = Result(code=Exit.NOT_PERMITTED)
    elif options.compare:
        result = _compare(options, there, task, progress, selectors)
    else:
        result = session.measure(there, task, progress)
    host = session.host(there, options.ping, result.notes)
    return measurement.document(host, there.counts, result.phases), result.code


def _selector(word: Optional[str]) -> Optional[Selector]:
    try:
        return None if word is None else estimation_dropin.selector(word)
    except ValueError as error:
        raise GuardError(str(error), Exit.USAGE) from error


def _compare(
    options: argparse.Namespace,
    there: Setup,
    task: Task,
    progress: Progress,
    selectors: Tuple[Selector, ...],
) -> Result:
    folder = options.places.runtime
    force = functools.partial(apply_configuration, options.root, options.places)
    lock = compare.begin(folder, force)
    try:
        policy = about(config_files.load(options.places).policy, RUN_ESTIMATION)
        now = check_all(Enforcer(options.root), policy, options.root, dry=True)
        chosen = compare.switch(folder, now, selectors, force)
        _confirm(options, len(chosen.namespaces), task.duration_ns)
        estimators = functools.partial(_estimators, options.root, policy, selectors)
        return session.measure(there, task, progress, chosen, estimators)
    finally:
        os.close(lock)


def _estimators(
    root: str, policy: Policy, selectors: Tuple[Selector, ...]
) -> Dict[Identity, Optional[int]]:
    counts = session.count(root, policy, selectors)
    return {one.namespace.identity: one.estimators for one in counts}


def _confirm(options: argparse.Namespace, count: int, duration_ns: int) -> None:
    """Ask the user for consent to a comparison. Raises GuardError without it."""
    if options.yes:
        return
    question = (
        f"This switches estimation on in {plural(count, 'namespace')} for "
        f"{format_duration(duration_ns)} and some seconds, and off again: packets may be late "
        "meanwhile."
    )
    confirm(question, compare.OPTION, "some time")
