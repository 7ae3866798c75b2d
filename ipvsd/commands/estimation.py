"""Switch estimation on or off, persistently and at once, and say how that affects statistics."""

import argparse
import os
from typing import Any, Dict, Sequence

from ipvsd.commands.output import Output
from ipvsd.config import estimation_dropin, estimation_files
from ipvsd.config.policy import matches
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.model import Exit, GuardError, NamespaceResult, Selector
from ipvsd.status import documents, severity
from ipvsd.status.reload import apply_configuration
from ipvsd.text import printable

# Of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
_VALUES = {"on": "1", "off": "0"}


_STATISTICS = {
    "1": "statistics: they count again from now on; the first rates show the whole pause as if it "
    "had been 2 seconds, a spike that decays.",
    "0": "statistics: totals and rates stand still at their last values, without any error; "
    "`ipvsd stats` shows what still counts.",
}


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
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Write the drop-in, have it applied, and wait until the kernel shows it."""
    value = _VALUES[options.switch]
    try:
        selectors = [estimation_dropin.selector(word) for word in options.namespace]
    except ValueError as error:
        raise GuardError(str(error), Exit.USAGE) from error
    changed = estimation_files.write(options.places, selectors, value, options.runtime)
    done = apply_configuration(options.root, options.places)
    meant = [result for result in done.results if _means(selectors, result)]
    if options.json:
        output.json(_document(value, changed, done, meant))
    else:
        _print(value, changed, meant, output)
        for one in selectors:
            if not any(matches(one, result.namespace) for result in meant):
                output.line(f"{printable(str(one))}: no namespace has this name now")
    return severity.exit_code(key for result in meant for key in result.keys)


def _means(selectors: Sequence[Selector], result: NamespaceResult) -> bool:
    return not selectors or any(matches(one, result.namespace) for one in selectors)


def _print(
    value: str, changed: Sequence[str], meant: Sequence[NamespaceResult], output: Output
) -> None:
    for path in changed:
        output.line(f"{path}: {'written' if os.path.exists(path) else 'removed'}")
    if not changed:
        output.line("configuration: says so already")
    for result in documents.in_order(meant):
        text = _exception(value, result)
        if text:
            output.line(f"{printable(str(result.namespace))}: {printable(text)}")
    counts = documents.count_states(result.keys for result in meant)
    states = ", ".join(f"{count} {word}" for word, count in counts.items())
    output.line(f"namespaces: {len(meant)}: {states or 'none'}")
    output.line(_STATISTICS[value])


def _exception(value: str, result: NamespaceResult) -> str:
    """Return why a namespace is not as chosen; empty where it is, or ip_vs is not there."""
    if not documents.is_right(result.keys) and not documents.is_absent(result.keys):
        return documents.state_word(result.keys)
    wanted = {key.setting.wanted for key in result.keys}
    return (
        "" if wanted == {value} else f"stays as another rule says: {result.rule or 'not guarded'}"
    )


def _document(
    value: str, changed: Sequence[str], done: AllNamespaces, meant: Sequence[NamespaceResult]
) -> Dict[str, Any]:
    return {
        "version": _VERSION,
        "wanted": value,
        "changed": list(changed),
        "module": done.module.value,
        "namespaces": [
            documents.namespace_document(result) for result in documents.in_order(meant)
        ],
    }
