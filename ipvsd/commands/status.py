"""Show the values in the kernel against the configuration, and what the daemon has done."""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from ipvsd.commands.arguments import add_watch
from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.enforce.all_namespaces import AllNamespaces, check_all
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import NS_PER_S, Exit, Identity, KeyStatus, NamespaceResult, Scope, State
from ipvsd.status import documents, page, runtime_dir, severity
from ipvsd.system import streams
from ipvsd.system.terminal import Screen
from ipvsd.text import iso_time

if TYPE_CHECKING:
    from ipvsd.system.processes import Member

# Why a value differs: a command that writes nothing does not see it.
_DAEMONS_STATES = {
    state.value: state
    for state in (State.CONTESTED, State.HELD, State.REFUSED, State.DENIED, State.READ_ONLY)
}

Remembered = Dict[Identity, Dict[str, Any]]
Members = Dict[int, "Member"]  # by pid

# How many namespaces are listed where there is no terminal, and at least below the last events.
_ROWS = 11
_ROWS_BELOW_EVENTS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--all", action="store_true", help="list every namespace")
    add_watch(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing; only the exit code counts"
    )


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Read the kernel now; the daemon's own files add what only the daemon knows."""
    if not options.watch:
        return _show(options, output)
    screen = Screen()
    while True:
        if options.json:
            code = _show(options, output)
        else:
            lines: List[str] = []
            code = _show(options, Output(write=lines.append, terminal=screen.size, wraps=False))
            screen.show(lines)
        if streams.failure(sys.stdout) is not None:
            return code
        time.sleep(options.interval / NS_PER_S)


def _show(options: argparse.Namespace, output: Output) -> Exit:
    policy = config_files.load(options.places).policy
    if os.geteuid() != 0:
        policy = policy._replace(scope=Scope.HOST)  # the others cannot be entered
    began_s = time.time()
    now = check_all(Enforcer(options.root), policy, options.root, dry=True)
    folder = runtime_dir.RuntimeFolder(options.root)
    daemon = _daemon(folder)
    running = True if daemon is not None else folder.running()
    remembered = _remembered(folder.daemon(runtime_dir.NAMESPACES))
    now = now._replace(results=tuple(documents.in_order(_explained(now.results, remembered))))
    if options.json:
        show = output.json_line if options.watch else output.json
        document = _document(now, daemon, remembered, _members(now.results, began_s))
        show(dict(document, running=running))
        return _exit_code(now, running)
    _print(
        now,
        page.head(now.module, os.uname().release, now.results, daemon, running),
        daemon,
        options,
        began_s,
        output,
    )
    return _exit_code(now, running)


def _exit_code(now: AllNamespaces, running: Optional[bool]) -> Exit:
    """Return the exit code for the values, or that it is unknown whether the guard runs."""
    code = severity.exit_code(now.keys)
    return Exit.CANNOT_TELL if code is Exit.AS_WANTED and running is None else code


def _daemon(folder: runtime_dir.RuntimeFolder) -> Optional[Dict[str, Any]]:
    """Return the daemon's status, None if it does not run; the last events only for root."""
    daemon = folder.daemon()
    if daemon is None:
        return None
    last = folder.daemon(runtime_dir.EVENTS) or {"recent": [], "last_write": None}
    counters = dict(daemon["counters"], last_write=last["last_write"])
    return dict(daemon, counters=counters, recent=last["recent"])


def _remembered(document: Optional[Dict[str, Any]]) -> Remembered:
    """Return what the daemon remembers, by namespace; nothing if it does not run."""
    namespaces = document["namespaces"] if document is not None else []
    return {(one["device"], one["inode"]): one for one in namespaces}


def _members(results: Sequence[NamespaceResult], began_s: float) -> Members:
    """Return who runs the processes that are named as members, as far as that is known.

    A process that was started since the check began has only inherited the pid.
    """
    pids = {result.namespace.owner.pid for result in results} - {0}
    if not pids:
        return {}

    from ipvsd.system.processes import member  # imports psutil

    found = {pid: member(pid) for pid in pids}
    return {pid: one for pid, one in found.items() if one is not None and one.started_s < began_s}


def _explained(result: Sequence[NamespaceResult], remembered: Remembered) -> List[NamespaceResult]:
    """Return the namespaces with the states of which only the daemon knows."""
    explained = []
    for one in result:
        known = remembered.get(one.namespace.identity, {"keys": []})
        daemons = {key["key"]: key for key in known["keys"]}
        keys = (_explained_key(key, daemons.get(key.setting.key)) for key in one.keys)
        explained.append(one._replace(keys=tuple(keys)))
    return explained


def _explained_key(key: KeyStatus, daemons: Optional[Dict[str, Any]]) -> KeyStatus:
    state = _DAEMONS_STATES.get(daemons["state"]) if daemons is not None else None
    if daemons is None or state is None or key.state is not State.DIFFERS:
        return key
    return key._replace(state=state, detail=daemons.get("detail", ""))


def _print(
    now: AllNamespaces,
    head: List[str],
    daemon: Optional[Dict[str, Any]],
    options: argparse.Namespace,
    began_s: float,
    output: Output,
) -> None:
    if os.geteuid() != 0:
        head.append("Only the host's namespace is shown: run it as root to see the others.")
    if options.watch:
        head += _recent(daemon, head, len(now.results), output)
    for line in [*head, ""]:
        output.line(line)
    room = len(now.results)
    if not options.all:
        room = output.room([*head, "", "heading", *page.left_out(now.results)], _ROWS)
    candidates = now.results[: max(1, room)]
    heading, groups = _drawn(candidates, _members(candidates, began_s), output)
    count = len(groups)
    if output.terminal is not None and not options.all:
        count = output.that_fit(groups, room)
    for line in [heading, *(line for group in groups[:count] for line in group)]:
        output.line(line)
    for line in page.left_out(now.results[count:]):
        output.line(line)


def _drawn(
    results: Sequence[NamespaceResult], members: Members, output: Output
) -> Tuple[str, List[List[str]]]:
    """Return the heading of a table, and the lines of each namespace."""
    users = {pid: one.user for pid, one in members.items()}
    for brief in (False, True):
        groups = [page.rows(one, users.get(one.namespace.owner.pid), brief) for one in results]
        cells = [page.HEADING, *(row for group in groups for row in group)]
        if brief or output.fits(cells):
            break
    heading, *lines = output.table_lines(cells, page.TEXT_COLUMNS)
    left = iter(lines)
    return heading, [[next(left) for _ in group] for group in groups]


def _recent(
    daemon: Optional[Dict[str, Any]], head: Sequence[str], namespaces: int, output: Output
) -> List[str]:
    """Return an empty line and the last events, as many as leave room for some namespaces."""
    events = [] if daemon is None else daemon["recent"]
    table = ["", "heading", *["row"] * min(namespaces, _ROWS_BELOW_EVENTS), "left out"]
    room = output.room([*head, "", *table], len(events))
    lines = [f"{event['time']}  {event['message']}" for event in events]
    return ["", *lines[-room:]] if room and lines else []


def _document(
    now: AllNamespaces,
    daemon: Optional[Dict[str, Any]],
    remembered: Remembered,
    members: Members,
) -> Dict[str, Any]:
    namespaces = []
    for result in now.results:
        member = members.get(result.namespace.owner.pid)
        document = documents.namespace_document(
            result,
            None if member is None else member.user,
            None if member is None else iso_time(int(member.started_s * 1e9)),
        )
        known = remembered.get(result.namespace.identity)
        document["exposure"] = None if known is None else known["exposure"]
        namespaces.append(document)
    return {
        "version": documents.STATUS_VERSION,
        "module": now.module.value,
        "namespaces": namespaces,
        "daemon": daemon,
    }
