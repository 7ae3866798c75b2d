"""Show the values in the kernel against the configuration, and what the daemon has done."""

import argparse
import os
from typing import Any, Dict, List, Optional

from ipvsd.commands.output import Output
from ipvsd.core import ledger, plan
from ipvsd.core.ledger import Pass
from ipvsd.core.model import NS_PER_S, Exit, KeyStatus, Reason
from ipvsd.core.text import format_duration, printable
from ipvsd.guard import Guard
from ipvsd.host import conffiles, state

NAME = "status"
HELP = "show values, states and what the daemon has done"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing, tell by exit code")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Read the kernel now; the daemon's own file adds what only the daemon knows."""
    config = conffiles.load(options.config_dir)
    done = Guard(options.root).run_pass(config.policy, Reason.APPLY, dry=True)
    daemon = state.RuntimeFolder(options.root).daemon()
    if options.json:
        output.json(_document(done, daemon))
    else:
        _print_daemon(daemon, output)
        output.line(f"ip_vs:  {done.module.value}, kernel {os.uname().release}")
        _print_keys(done, output)
        _print_counters(daemon, output)
    return plan.exit_code(done.keys)


def _print_daemon(daemon: Optional[Dict[str, Any]], output: Output) -> None:
    if daemon is None:
        output.line("guard:  NOT RUNNING (systemctl enable --now ipvs-estoff-guard)")
        return
    text = f"{daemon['guard']}, mode {daemon['mode']}, since {daemon['started']}"
    output.line(f"guard:  running, pid {daemon['pid']}, version {printable(text)}")


def _print_keys(done: Pass, output: Output) -> None:
    if not done.keys:
        output.line("No sysctl is configured, nothing is guarded.")
        return
    rows: List[List[str]] = [["SYSCTL", "NAMESPACE", "WANTED", "VALUE", "STATE"]]
    for key in done.keys:
        value = printable(key.value) or "-"
        rows.append([key.setting.key, done.namespace.name, key.setting.wanted, value, _state(key)])
    output.line()
    output.table(rows)


def _state(key: KeyStatus) -> str:
    return key.state.value + (f" ({printable(key.detail)})" if key.detail else "")


def _print_counters(daemon: Optional[Dict[str, Any]], output: Output) -> None:
    if daemon is None:
        return
    counters = daemon["counters"]
    writes = ", ".join(f"{count} {reason}" for reason, count in counters["writes"].items())
    output.line()
    output.line(f"loads seen: {counters['loads']}; writes by reason: {writes or 'none'}")
    last = counters["last_write"]
    if last is not None:
        reaction = ""
        if last["reaction_usec"] is not None:
            took = format_duration(last["reaction_usec"] * NS_PER_S // 10**6)
            reaction = f", {took} after its event"
        change = f"{last['key']} {last['old']} -> {last['new']}"
        output.line(f"last write: {last['time']} {change} ({last['reason']}{reaction})")


def _document(done: Pass, daemon: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    return {
        "version": ledger.STATUS_VERSION,
        "module": done.module.value,
        "keys": ledger.keys_document(done.namespace, done.keys),
        "daemon": daemon,
    }
