"""Prove that estimation is off: by the values everywhere, and by what the estimator does."""

import argparse
import os
import select
from typing import Dict, List, Optional, Tuple

from ipvsd.commands.output import Output
from ipvsd.core import report, verification
from ipvsd.core.counters import Readout
from ipvsd.core.model import NS_PER_S, Exit, Identity, Policy, Scope
from ipvsd.core.policy import about
from ipvsd.core.text import printable
from ipvsd.core.values import RUN_ESTIMATION
from ipvsd.core.verification import Space, Verdict, Watch
from ipvsd.guard import Guard
from ipvsd.host import conffiles
from ipvsd.kernel import ipvs, threads
from ipvsd.kernel.passes import Passes
from ipvsd.loop import monotonic_ns
from ipvsd.survey import survey
from ipvsd.tour import Tour

# Of the JSON: raised when a field changes its meaning or goes, not when one is added.
_VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print problems only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Watch the estimator for two periods, then compare the values with the configuration."""
    policy = about(conffiles.load(options.places).policy, RUN_ESTIMATION)
    if os.geteuid() != 0:
        policy = policy._replace(scope=Scope.HOST)  # the others cannot be entered
    before, after, watch = _watch(policy, options.root)
    now = survey(Guard(options.root), policy, options.root, dry=True)
    spaces = [
        Space(seen, before.get(seen.namespace.identity), after.get(seen.namespace.identity))
        for seen in report.in_order(now.seen)
    ]
    verdict = verification.judge(spaces, watch)
    if options.json:
        document = verification.document(spaces, watch, verdict)
        output.json(dict(document, version=_VERSION, module=now.module.value))
    else:
        _print(verdict, output)
    return verdict.exit_code


Readouts = Dict[Identity, Optional[Readout]]


def _watch(policy: Policy, root: str) -> Tuple[Readouts, Readouts, Watch]:
    """Return the counters before and after, and what the estimator did in between."""
    threaded = ipvs.has_kthreads(root)
    tour = Tour(policy, root)
    passes, why = None, ""
    try:
        try:
            passes = Passes(root, threaded)
        except OSError as error:
            why = f"{error.filename or 'tracefs'}: {error.strerror}"
        before, began_ns = _readouts(tour, root), monotonic_ns()
        counted = _count(passes, began_ns + verification.WATCH_NS)
        elapsed_ns = monotonic_ns() - began_ns
        after = _readouts(tour, root)
        if passes is not None and not threaded and not passes.detailed:
            counted, why = None, "the kernel has no BTF, so a tick without work looks like others"
    finally:
        tour.close()
        if passes is not None:
            passes.close()
    tasks = len(threads.names(root)) if threaded else None
    return before, after, Watch(elapsed_ns, tasks, counted, why)


def _readouts(tour: Tour, root: str) -> Readouts:
    return {one.identity: readout for one, readout in tour.read(lambda: ipvs.counters(root))}


def _count(passes: Optional[Passes], until_ns: int) -> Optional[Dict[Optional[int], int]]:
    """Return how many passes did work, by namespace, until a moment."""
    counted: Dict[Optional[int], int] = {}
    sources: List[int] = [passes.fileno()] if passes is not None else []
    while True:
        left_ns = until_ns - monotonic_ns()
        if left_ns <= 0:
            return counted if passes is not None else None
        select.select(sources, [], [], left_ns / NS_PER_S)
        for sample in passes.take() if passes is not None else []:
            # What estimates in a thread does work whenever it runs.
            if sample.working is not False:
                counted[sample.inode] = counted.get(sample.inode, 0) + 1


def _print(verdict: Verdict, output: Output) -> None:
    for problem in verdict.problems:
        output.always(f"ON   {printable(problem)}")
    for note in verdict.notes:
        output.line(f"note {printable(note)}")
    for line in verdict.summary:
        output.line(line)
    well = verdict.exit_code is Exit.AS_WANTED
    output.line("estimation is off wherever it can be" if well else "estimation is NOT off")
