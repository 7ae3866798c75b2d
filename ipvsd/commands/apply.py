"""Check every namespace once, and set the values that differ. No daemon is needed."""

import argparse
from typing import Any, Dict

from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.enforce.all_namespaces import AllNamespaces, check_all
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import HOST_NAME, RIGHT, Exit, KeyStatus, Mode, Namespace, NamespaceResult, State
from ipvsd.status import documents, severity
from ipvsd.text import printable

_PROBLEMS = {
    State.DENIED: "could not be set; are you root?",
    State.REFUSED: "could not be set",
    State.HELD: (
        "not set, since services are added or removed all the time, and a write meanwhile can hang "
        "this kernel; run `ipvsd apply` again when no services change"
    ),
    State.UNREADABLE: "cannot be read",
    State.UNSUPPORTED: "unsupported by ip_vs of the running kernel",
    State.LOADING: "ip_vs is still loading",
    State.HIDDEN: "owned by another user namespace, it cannot be set",
    State.READ_ONLY: "owned by another user namespace, it cannot be set",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Check once, whatever the mode: `apply` is a demand to write."""
    config = config_files.load(options.places)
    for warning in config.warnings:
        output.problem(f"warning: {warning}")
    policy = config.policy._replace(mode=Mode.ENFORCE)
    done = check_all(Enforcer(options.root), policy, options.root, dry=options.dry_run)
    if options.json:
        output.json(_document(done))
    else:
        for result in done.results:
            _print(result, options.dry_run, output)
        _print_rest(done, output)
    return severity.exit_code(done.keys)


def _print(result: NamespaceResult, dry: bool, output: Output) -> None:
    writes = {write.key: write for write in result.writes}
    for key in result.keys:
        write = writes.get(key.setting.key)
        if write is not None and key.state in (*RIGHT, State.DIFFERS):
            output.line(f"{'would set' if dry else 'set'} {printable(str(write))}")
        elif key.state in _PROBLEMS:
            output.problem(_problem(key, result.namespace))
        elif result.namespace.name != HOST_NAME:
            continue  # as wanted, or it no longer exists
        elif key.state is State.ABSENT:
            output.line(f"{key.setting.key}: ip_vs is not loaded, nothing to set")
        elif key.state is State.OFF_OTHERWISE:
            output.line(f"{key.setting.key}: off already, {printable(key.detail)}")
        else:
            output.line(f"{key.setting.key}: is {printable(key.value)}, as wanted")


def _print_rest(done: AllNamespaces, output: Output) -> None:
    others = [result for result in done.results if result.namespace.name != HOST_NAME]
    right = [result for result in others if not result.writes and documents.is_right(result.keys)]
    if others:
        output.line(f"other namespaces: {len(others)}, as wanted before: {len(right)}")


def _problem(key: KeyStatus, namespace: Namespace) -> str:
    where = "" if namespace.name == HOST_NAME else f" in {printable(str(namespace))}"
    detail = f" ({printable(key.detail)})" if key.detail else ""
    return f"{key.setting.key}{where}: {_PROBLEMS[key.state]}{detail}"


def _document(done: AllNamespaces) -> Dict[str, Any]:
    return {
        "version": documents.STATUS_VERSION,
        "module": done.module.value,
        "writes": [
            {
                "namespace": write.namespace.name,
                "inode": write.namespace.inode,
                "key": write.written_key,
                "old": write.found,
                "new": write.wanted,
            }
            for result in done.results
            for write in result.writes
        ],
        "namespaces": [
            documents.namespace_document(result) for result in documents.in_order(done.results)
        ],
    }
