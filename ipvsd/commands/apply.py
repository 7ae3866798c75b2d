"""Make one pass now: set what differs and say so. No daemon is needed for it."""

import argparse
import sys
from typing import Any, Dict

from ipvsd.commands.output import Output
from ipvsd.core import ledger, plan
from ipvsd.core.ledger import Pass
from ipvsd.core.model import Exit, KeyStatus, Mode, Reason, State
from ipvsd.core.text import printable
from ipvsd.guard import Guard
from ipvsd.host import conffiles

NAME = "apply"
HELP = "set the guarded values once, now"

_PROBLEMS = {
    State.DENIED: "could not be set; are you root?",
    State.REFUSED: "could not be set",
    State.UNREADABLE: "cannot be read",
    State.UNSUPPORTED: "unsupported by ip_vs of the running kernel",
    State.LOADING: "ip_vs is still loading",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Make the pass, whatever the mode: who calls `apply` wants it done."""
    config = conffiles.load(options.config_dir)
    for warning in config.warnings:
        print(f"ipvsd: warning: {warning}", file=sys.stderr)
    policy = config.policy._replace(mode=Mode.ENFORCE)
    done = Guard(options.root).run_pass(policy, Reason.APPLY, dry=options.dry_run)
    if options.json:
        output.json(_document(done))
    else:
        _print(done, options.dry_run, output)
    return plan.exit_code(done.keys)


def _print(done: Pass, dry: bool, output: Output) -> None:
    writes = {write.key: write for write in done.writes}
    for key in done.keys:
        write = writes.get(key.setting.key)
        if write is not None and key.state in (State.AS_WANTED, State.DIFFERS):
            output.line(f"{'would set' if dry else 'set'} {write}")
        elif key.state in _PROBLEMS:
            print(f"ipvsd: {_problem(key)}", file=sys.stderr)
        elif key.state is State.ABSENT:
            output.line(f"{key.setting.key}: ip_vs is not loaded, nothing to set")
        else:
            output.line(f"{key.setting.key}: is {printable(key.value)}, as wanted")


def _problem(key: KeyStatus) -> str:
    detail = f" ({printable(key.detail)})" if key.detail else ""
    return f"{key.setting.key}: {_PROBLEMS[key.state]}{detail}"


def _document(done: Pass) -> Dict[str, Any]:
    return {
        "version": ledger.STATUS_VERSION,
        "module": done.module.value,
        "writes": [
            {"key": write.key, "old": write.found, "new": write.wanted} for write in done.writes
        ],
        "keys": ledger.keys_document(done.namespace, done.keys),
    }
