"""Switch estimation on or off, persistently and at once, and say how that affects statistics."""

import argparse
import os
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ipvsd.commands.arguments import duration
from ipvsd.commands.output import Output
from ipvsd.config import estimation_dropin, estimation_files, until
from ipvsd.config import files as config_files
from ipvsd.config.estimation_files import Wanted
from ipvsd.config.policy import matches
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import AllNamespaces, find, in_worker
from ipvsd.kernel import netns_discovery
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.model import (
    NS_PER_S,
    Exit,
    GuardError,
    KeyStatus,
    Mode,
    Namespace,
    NamespaceResult,
    Policy,
    Scope,
    Selector,
)
from ipvsd.status import documents, severity
from ipvsd.status.reload import apply_configuration
from ipvsd.status.runtime_dir import RuntimeFolder
from ipvsd.text import printable

# Of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
_VALUES = {"on": "1", "off": "0"}
_LONGEST_NS = 30 * 24 * 3600 * NS_PER_S

_STATISTICS = {
    "1": "statistics: they count again from now on; the first rates show the whole pause as if it "
    "had been 2 seconds, a spike that decays.",
    "0": "statistics: totals and rates stand still at their last values, without any error; "
    "`ipvsd stats` shows what still counts.",
}


class _Exception(NamedTuple):
    """A namespace that is not as asked for, and why."""

    namespace: Namespace
    why: str
    by_rule: bool  # a rule of the configuration prevails; else the value could not be set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("switch", choices=sorted(_VALUES), help="what estimation is to be")
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        action="append",
        default=[],
        help="only there: a name, or name:, cgroup:, container:, unit: and glob; several times",
    )
    parser.add_argument("--runtime", action="store_true", help="only until the next boot")
    parser.add_argument(
        "--for", type=duration, metavar="TIME", dest="lasting", help="only for this time (10min)"
    )
    parser.add_argument(
        "--force", action="store_true", help="also for a name that no namespace has now"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Write the drop-in, have it applied, and wait until the kernel shows it."""
    wanted = _wanted(options)
    if not options.force:
        _check_names(options, wanted.selectors)
    changed = estimation_files.write(options.places, wanted)
    done = apply_configuration(options.root, options.places)
    meant = [result for result in done.results if _means(wanted.selectors, result.namespace)]
    exceptions = _exceptions(wanted, meant)
    if options.json:
        output.json(_document(wanted, changed, done, meant))
    else:
        _print(wanted, changed, meant, output)
    for one in exceptions:
        output.problem(f"{printable(str(one.namespace))}: {printable(one.why)}")
    _print_end(options, wanted, output)
    code = severity.exit_code(key for result in meant for key in result.keys)
    prevails = any(one.by_rule for one in exceptions)
    return Exit.NOT_AS_WANTED if prevails and code is Exit.AS_WANTED else code


def _wanted(options: argparse.Namespace) -> Wanted:
    try:
        selectors = [estimation_dropin.selector(word) for word in options.namespace]
    except ValueError as error:
        raise GuardError(str(error), Exit.USAGE) from error
    until_ns = None
    if options.lasting is not None:
        if not NS_PER_S <= options.lasting <= _LONGEST_NS:
            raise GuardError("--for is not between 1s and 720h", Exit.USAGE)
        # Rounded up to the second, as it is written.
        until_ns = until.parse(until.render(int(time.time() * NS_PER_S) + options.lasting))
    return Wanted(_VALUES[options.switch], tuple(selectors), options.runtime, until_ns)


def _check_names(options: argparse.Namespace, selectors: Sequence[Selector]) -> None:
    """Raise GuardError for a selector that matches no namespace and has no choice to take back."""
    if not selectors:
        return
    estimation_files.check_permission(options.places)
    policy = config_files.load(options.places).policy
    known, chosen = _namespaces(options.root, policy), estimation_files.chosen(options.places)
    for one in selectors:
        if str(one) in chosen or any(matches(one, namespace) for namespace in known):
            continue
        scope = " (the configuration has scope = host)" if policy.scope is Scope.HOST else ""
        raise GuardError(
            f"{printable(str(one))}: no namespace has this name now{scope}; nothing was changed; "
            "`ipvsd status --all` lists the names, --force writes a choice for later",
            Exit.NOT_AS_WANTED,
        )


def _namespaces(root: str, policy: Policy) -> List[Namespace]:
    host = netns_discovery.own(root)
    if policy.scope is Scope.HOST or host.inode == 0:
        return [host]
    found = in_worker(lambda progress: find(NamespaceFinder(root, progress.note), deep=True))
    return [host, *(place.namespace for place in found)]


def _means(selectors: Sequence[Selector], namespace: Namespace) -> bool:
    return not selectors or any(matches(one, namespace) for one in selectors)


def _key(result: NamespaceResult) -> Optional[KeyStatus]:
    return next((key for key in result.keys if key.setting.key == RUN_ESTIMATION), None)


def _exceptions(wanted: Wanted, meant: Sequence[NamespaceResult]) -> List[_Exception]:
    """Return where the value is not as asked for, by the configuration or in the kernel.

    A choice for all namespaces leaves those alone that the configuration excludes.
    """
    found = []
    for result in documents.in_order(meant):
        key = _key(result)
        if key is None:
            if wanted.selectors:
                why = f"stays as it is: {result.rule or 'run_estimation is not guarded here'}"
                found.append(_Exception(result.namespace, why, by_rule=True))
        elif key.setting.wanted != wanted.value:
            setting = key.setting
            section = f"[sysctl {setting.rule}]" if setting.rule else "[sysctl]"
            why = f"{RUN_ESTIMATION} stays {setting.wanted}: {section} in {setting.origin} prevails"
            found.append(_Exception(result.namespace, why, by_rule=True))
        elif not documents.is_right(result.keys) and not documents.is_absent(result.keys):
            why = documents.state_word(result.keys)
            found.append(_Exception(result.namespace, why, by_rule=False))
    return found


def _print(
    wanted: Wanted, changed: Sequence[str], meant: Sequence[NamespaceResult], output: Output
) -> None:
    for path in changed:
        output.line(f"{path}: {'written' if os.path.exists(path) else 'removed'}")
    if not changed:
        output.line("configuration: says so already")
    counts = documents.count_states(result.keys for result in meant)
    states = ", ".join(f"{count} {word}" for word, count in counts.items())
    output.line(f"namespaces: {len(meant)}: {states or 'none'}")
    if any(_is_as_asked(wanted, result) for result in meant):
        output.line(_STATISTICS[str(wanted.value)])


def _is_as_asked(wanted: Wanted, result: NamespaceResult) -> bool:
    key = _key(result)
    return key is not None and key.value == wanted.value


def _print_end(options: argparse.Namespace, wanted: Wanted, output: Output) -> None:
    """Say when the choice ends, and who then sets the value back."""
    if wanted.until_ns is None:
        return
    end = until.render(wanted.until_ns)
    daemon = RuntimeFolder(options.root).daemon()
    if daemon is not None and daemon["mode"] == Mode.ENFORCE.value:
        if not options.json:
            output.line(f"until: {end}, then the guard sets the value that the rest says")
    else:
        who = "no guard runs" if daemon is None else "the guard only observes"
        output.problem(
            f"until {end}: {who}, so nothing sets the value back; run `ipvsd apply` then"
        )


def _document(
    wanted: Wanted, changed: Sequence[str], done: AllNamespaces, meant: Sequence[NamespaceResult]
) -> Dict[str, Any]:
    return {
        "version": _VERSION,
        "wanted": wanted.value,
        "until": None if wanted.until_ns is None else until.render(wanted.until_ns),
        "changed": list(changed),
        "module": done.module.value,
        "namespaces": [
            documents.namespace_document(result) for result in documents.in_order(meant)
        ],
    }
