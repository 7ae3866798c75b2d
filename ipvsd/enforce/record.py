"""Decides what the results of checks mean for the memory, and which of them are events."""

from typing import Iterable, List, Optional, Tuple

from ipvsd.enforce.memory import Memory
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.enforce.record_module import may_be_reloaded, record_module
from ipvsd.enforce.record_namespace import NamespaceRecord
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.rate_limit import limit_rate
from ipvsd.model import RIGHT, CheckResults, Identity, NamespaceResult, Policy, State


def record_host(memory: Memory, policy: Policy, done: CheckResults) -> Tuple[Memory, List[Event]]:
    """Return the memory after a check of the host's namespace, and the events of it."""
    before = memory
    (host,) = done.results
    if before.waiting_since_ns is not None:
        # Estimation cannot begin before the sysctls are there, however long the init takes.
        event_ns = max(before.waiting_since_ns, before.missing_ns or 0)
        host = host._replace(event_ns=event_ns)
        done = done._replace(results=(host,))
    memory, new_events = record_module(memory, done.module, host.event_ns, done.now_ns)
    missing = any(key.state is State.LOADING for key in host.keys)
    memory = memory._replace(missing_ns=done.now_ns if missing else None)
    if done.module.loaded and may_be_reloaded(before, done.instance):
        loaded_ns = host.event_ns if host.event_ns is not None else before.checked_ns
        memory = memory._replace(
            loads=memory.loads + 1, loaded_ns=loaded_ns, unsupported=frozenset()
        )
    memory = memory._replace(checked_ns=done.now_ns, instance=done.instance)
    memory, more = record(memory, policy, done)
    new_events += more
    appeared = done.module.loaded and before.module is not None and not before.module.loaded
    if appeared and not new_events and not _all_well(before, host) and _all_well(memory, host):
        message = "ip_vs: loaded; all guarded values are as wanted"
        new_events.append(events.plain(Kind.LOADED, message))
    return memory, new_events


def record(memory: Memory, policy: Policy, done: CheckResults) -> Tuple[Memory, List[Event]]:
    """Return the memory after checks of some namespaces, and the events to log now."""
    namespaces, revision, tally = dict(memory.namespaces), memory.revision, memory.tally
    last_write, new_events = memory.last_write, []
    for result in done.results:
        identity = result.namespace.identity
        known = namespaces.pop(identity, None)
        if known is not None and _is_unchanged(known, result):
            namespaces[identity] = known._replace(checked_ns=done.now_ns)
            continue
        one = NamespaceRecord(memory._replace(tally=tally), policy, done, result, known)
        tally, last_write = one.tally, one.last_write or last_write
        new_events += one.events
        if one.ns_state is not None:
            namespaces[identity] = one.ns_state
        revision += int(_has_changed(known, one.ns_state))
        lacking = {key.setting.key for key in result.keys if key.state is State.UNSUPPORTED}
        memory = memory._replace(unsupported=memory.unsupported | lacking)
    rate_limiter, to_log = limit_rate(memory.rate_limiter, new_events, done.now_ns)
    memory = memory._replace(
        namespaces=namespaces,
        revision=revision,
        tally=tally,
        last_write=last_write,
        rate_limiter=rate_limiter,
    )
    return memory, to_log


def forget(memory: Memory, gone: Iterable[Identity], seen_ns: Optional[int]) -> Memory:
    """Return the memory without namespaces that no longer exist.

    `seen_ns` is when the scan before the one that did not find them began, None if unknown.
    """
    known = [identity for identity in gone if identity in memory.namespaces]
    if not known:
        return memory
    namespaces, tally = dict(memory.namespaces), memory.tally
    for identity in known:
        tally = tally.plus_gone(namespaces.pop(identity), seen_ns)
    return memory._replace(namespaces=namespaces, revision=memory.revision + 1, tally=tally)


def reset_contests(memory: Memory) -> Memory:
    """Return the memory without contests: the administrator has reloaded the configuration."""
    namespaces = {key: value._replace(contests={}) for key, value in memory.namespaces.items()}
    return memory._replace(namespaces=namespaces)


def _all_well(memory: Memory, host: NamespaceResult) -> bool:
    """Return whether the values of the host's namespace were last logged as wanted."""
    ns_state = memory.namespaces.get(host.namespace.identity)
    conditions = ns_state.conditions.values() if ns_state is not None else ()
    return all(state in RIGHT for state, _ in conditions)


def _is_unchanged(known: NamespaceState, result: NamespaceResult) -> bool:
    """Return whether all is well and was so before: the common case, kept cheap."""
    return (
        not result.writes
        and result.keys == known.keys
        and result.namespace == known.namespace
        and result.rule == known.rule
        and result.estimators in (None, known.estimators)
        and result.cookie in (None, known.cookie)
        and known.exposure.since_ns is None
        and known.held_since_ns is None
        and not known.contests
        and all(key.state in RIGHT for key in result.keys)
    )


def _has_changed(known: Optional[NamespaceState], now: Optional[NamespaceState]) -> bool:
    """Return whether there is more to publish about a namespace than before.

    An exposure that goes on grows, and so is a change.
    """
    if known is None or now is None:
        return known is not now
    return now != known._replace(checked_ns=now.checked_ns) or now.exposure.since_ns is not None
