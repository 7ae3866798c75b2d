"""Show the values in the kernel against the configuration, and what the daemon has done."""

import argparse
import os
import sys
import time
from typing import Any, Dict, List, Optional, Sequence

from ipvsd.commands.arguments import add_watch
from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.enforce.all_namespaces import AllNamespaces, check_all
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel.netns_owner import describe
from ipvsd.model import (
    HOST_NAME,
    NS_PER_S,
    Exit,
    Identity,
    KeyStatus,
    NamespaceResult,
    Scope,
    State,
)
from ipvsd.status import documents, runtime_dir, severity
from ipvsd.system import streams
from ipvsd.system.processes import Member, member
from ipvsd.system.terminal import Screen
from ipvsd.text import format_duration, iso_time, plural, printable

# Why a value is left as it is.
_DAEMONS_STATES = {state.value: state for state in (State.CONTESTED, State.HELD)}

Remembered = Dict[Identity, Dict[str, Any]]
Members = Dict[int, Member]  # by pid

# What fits on a screen together with the lines above the table.
_ROWS = 11
_NS_PER_USEC = NS_PER_S // 10**6


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
            code = _show(options, Output(write=lines.append))
            screen.show(lines)
        if streams.failure(sys.stdout) is not None:
            return code
        time.sleep(options.interval / NS_PER_S)


def _show(options: argparse.Namespace, output: Output) -> Exit:
    policy = config_files.load(options.places).policy
    is_root = os.geteuid() == 0
    if not is_root:
        policy = policy._replace(scope=Scope.HOST)  # the others cannot be entered
    began_s = time.time()
    now = check_all(Enforcer(options.root), policy, options.root, dry=True)
    folder = runtime_dir.RuntimeFolder(options.root)
    daemon = _daemon(folder)
    remembered = _remembered(folder.daemon(runtime_dir.NAMESPACES))
    now = now._replace(results=tuple(documents.in_order(_explained(now.results, remembered))))
    if options.json:
        show = output.json_line if options.watch else output.json
        show(_document(now, daemon, remembered, _members(now.results, began_s)))
        return severity.exit_code(now.keys)
    _print_head(now, daemon, output)
    if not is_root:
        output.line("Only the host's namespace is shown: run it as root to see the others.")
    if options.watch:
        _print_recent(daemon, output)
    shown = now.results if options.all else now.results[:_ROWS]
    _print_namespaces(now.results, shown, _members(shown, began_s), output)
    return severity.exit_code(now.keys)


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
    found = {pid: member(pid) for pid in pids}
    return {pid: one for pid, one in found.items() if one is not None and one.started_s < began_s}


def _explained(result: Sequence[NamespaceResult], remembered: Remembered) -> List[NamespaceResult]:
    """Return the namespaces with the states of which only the daemon knows."""
    explained = []
    for one in result:
        known = remembered.get(one.namespace.identity, {"keys": []})
        words = {key["key"]: key["state"] for key in known["keys"]}
        keys = [
            key._replace(state=_DAEMONS_STATES.get(words.get(key.setting.key, ""), key.state))
            if key.state is State.DIFFERS
            else key
            for key in one.keys
        ]
        explained.append(one._replace(keys=tuple(keys)))
    return explained


def _print_head(now: AllNamespaces, daemon: Optional[Dict[str, Any]], output: Output) -> None:
    if daemon is None:
        output.line("guard:       NOT RUNNING (systemctl enable --now ipvs-estoff-guard)")
    else:
        text = f"{daemon['guard']}, mode {daemon['mode']}, since {daemon['started']}"
        output.line(f"guard:       running, pid {daemon['pid']}, version {printable(text)}")
    output.line(f"ip_vs:       {now.module.value}, kernel {os.uname().release}")
    counts = documents.count_states(result.keys for result in now.results)
    states = ", ".join(f"{count} {word}" for word, count in counts.items())
    output.line(f"namespaces:  {len(now.results)}: {states}")
    if daemon is None:
        return
    sources = ", ".join(f"{name} {text}" for name, text in daemon["sources"].items())
    output.line(f"sources:     {printable(sources)}")
    output.line(f"canary:      {_canary(daemon['canary'])}")
    output.line(f"cost:        {_cost(daemon.get('cost'))}")
    _print_counters(daemon["counters"], output)


def _cost(cost: Optional[Dict[str, Any]]) -> str:
    """Return what the daemon itself costs, as it last measured that."""
    if cost is None:
        return "unknown (not measured yet, or the daemon runs without psutil)"
    minute = cost["cpu_share_last_minute"]
    recently = "unknown" if minute is None else f"{minute * 100:.2g} %"
    return (
        f"{cost['resident_bytes'] / 2**20:.1f} MiB resident, CPU {cost['cpu_share'] * 100:.2g} % "
        f"since its start, {recently} in the last minute, {cost['descriptors']} descriptors, "
        f"{cost['threads']} threads"
    )


def _canary(canary: Optional[Dict[str, Any]]) -> str:
    if canary is None:
        return "none"
    if canary["fixed_usec"] is None:
        return printable(f"{canary['error']}, {canary['time']}")
    return f"set {_duration(canary['fixed_usec'])} after its birth, {canary['time']}"


def _print_counters(counters: Dict[str, Any], output: Output) -> None:
    writes = ", ".join(f"{count} {reason}" for reason, count in counters["writes"].items())
    output.line(f"loads seen:  {counters['loads']}; writes by reason: {writes or 'none'}")
    exposed = _duration(counters["exposed_usec"])
    runs = plural(counters["passes_leaked"], "estimation run")
    output.line(f"leaked:      at most {runs}, {exposed} at 1")
    output.line(f"reactions:   {_reactions(counters['reactions'])}")
    last = counters["last_write"]
    if last is not None:
        reaction = ""
        if last["reaction_usec"] is not None:
            reaction = f", {_duration(last['reaction_usec'])} after its event"
        change = f"{last['key']} in {printable(last['namespace'])} {last['old']} -> {last['new']}"
        output.line(f"last write:  {last['time']} {change} ({last['reason']}{reaction})")


def _reactions(reactions: Dict[str, Any]) -> str:
    if not reactions["count"]:
        return "none"
    half, most = (documents.within(reactions, share) for share in (0.5, 0.95))
    slowest = _duration(reactions["slowest_usec"])
    return f"{reactions['count']}, half within {half}, 95 % within {most}, slowest {slowest}"


def _print_recent(daemon: Optional[Dict[str, Any]], output: Output) -> None:
    output.line()
    for event in daemon["recent"] if daemon is not None else []:
        output.line(f"{event['time']}  {event['message']}")


def _duration(usec: Optional[int]) -> str:
    return "-" if usec is None else format_duration(usec * _NS_PER_USEC)


def _print_namespaces(
    results: Sequence[NamespaceResult],
    shown: Sequence[NamespaceResult],
    members: Members,
    output: Output,
) -> None:
    rows = [["NAMESPACE", "STATE", "SYSCTL", "VALUE", "WANTED", "OWNER"]]
    for one in shown:
        rows += _rows(one, members.get(one.namespace.owner.pid))
    output.line()
    output.table(rows)
    left = results[len(shown) :]
    if left:
        counts = documents.count_states(one.keys for one in left)
        text = ", ".join(f"{count} {word}" for word, count in counts.items())
        output.line(f"... and {len(left)} more: {text}; `ipvsd status --all` lists them.")


def _rows(one: NamespaceResult, member: Optional[Member]) -> List[List[str]]:
    """Return a row for each key that is not as wanted, or for the first; for the host, for all."""
    keys = list(one.keys)
    if one.namespace.name != HOST_NAME:
        wrong = [key for key in keys if not documents.is_right([key])]
        keys = wrong or keys[:1]
    name, owner = printable(str(one.namespace)), printable(_owner(one, member))
    if not keys:
        return [[name, documents.state_word(()), "-", "-", "-", owner]]
    return [[name, *_key(key), owner] for key in keys]


def _key(key: KeyStatus) -> List[str]:
    word = documents.state_word([key])
    shown = word + (f" ({printable(key.detail)})" if key.detail else "")
    return [shown, key.setting.key, printable(key.value) or "-", key.setting.wanted]


def _owner(one: NamespaceResult, member: Optional[Member]) -> str:
    user = f"user {member.user}" if member is not None else ""
    hints = [describe(one.namespace.owner), user, f"[{one.rule}]" if one.rule else ""]
    return ", ".join(filter(None, hints))


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
