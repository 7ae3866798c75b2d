"""Decides in which form visits and their results cross from one process to the other: plain data.

Of thousands of visits almost all end the same way: every value is as wanted, or was set. These are
tuples of numbers and texts, which cost a tenth of the objects that they stand for.
"""

import functools
from typing import Any, Iterable, List, Optional, Tuple, Union

from ipvsd.config.policy import Rules
from ipvsd.enforce.enforcer import Target
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import (
    Found,
    Identity,
    KeyStatus,
    Namespace,
    NamespaceResult,
    Outcome,
    Reading,
    Reason,
    Setting,
    State,
    Write,
)

# identity, reason, what is known, event_ns, born_ns, with_counters, with_facts
PackedTarget = Tuple[Identity, str, Optional[Tuple[Any, ...]], Any, Any, bool, bool]
# identity, reason, values, estimators, cookie, event_ns, now_ns
PlainResult = Tuple[Identity, str, Tuple[Tuple[str, str, int], ...], Any, Any, Any, int]
PackedResult = Union[PlainResult, NamespaceResult]

_NOT_WRITTEN = 0


def pack_targets(targets: Iterable[Target]) -> List[PackedTarget]:
    """Return targets without their namespaces and paths, which the other side knows."""
    return [_pack_target(target) for target in targets]


def _pack_target(target: Target) -> PackedTarget:
    known = target.known
    return (
        target.namespace.identity,
        target.reason.value,
        None if known is None else _pack_known(known),
        target.event_ns,
        target.born_ns,
        target.with_counters,
        target.with_facts,
    )


def unpack_target(packed: PackedTarget, namespace: Namespace, paths: Tuple[str, ...]) -> Target:
    """Return a target; of what is known it has what decides about writes."""
    _, reason, known, event_ns, born_ns, with_counters, with_facts = packed
    return Target(
        namespace,
        Reason(reason),
        None if known is None else _unpack_known(known, namespace),
        paths,
        event_ns,
        born_ns,
        with_counters,
        with_facts,
    )


def _pack_known(known: NamespaceState) -> Tuple[Any, ...]:
    restrained = any(key.state is State.READ_ONLY for key in known.keys)
    return (
        known.keys if restrained else (),
        known.contests,
        known.estimators,
        known.estimators_since_ns,
        known.held_since_ns,
        known.cookie,
    )


def _unpack_known(packed: Tuple[Any, ...], namespace: Namespace) -> NamespaceState:
    keys, contests, estimators, since_ns, held_since_ns, cookie = packed
    return NamespaceState(
        namespace,
        0,
        0,
        0,
        keys=keys,
        contests=contests,
        estimators=estimators,
        estimators_since_ns=since_ns,
        held_since_ns=held_since_ns,
        cookie=cookie,
    )


def identity_of(packed: PackedResult) -> Identity:
    """Return whose result it is."""
    return packed.namespace.identity if isinstance(packed, NamespaceResult) else packed[0]


def reason_of(packed: PackedResult) -> Reason:
    """Return the reason for which values were checked."""
    return packed.reason if isinstance(packed, NamespaceResult) else Reason(packed[1])


def pack_result(result: NamespaceResult, visited: Namespace) -> PackedResult:
    """Return a result as a tuple, if all is as wanted in the namespace that was to be visited."""
    if result.namespace is not visited or not _is_plain(result):
        return result
    written = {one.write.key: (one.write.found, one.written_ns) for one in result.outcomes}
    values = []
    for key in result.keys:
        found, written_ns = written.get(key.setting.key, ("", _NOT_WRITTEN))
        values.append((key.value, found, written_ns or _NOT_WRITTEN))
    return (
        visited.identity,
        result.reason.value,
        tuple(values),
        result.estimators,
        result.cookie,
        result.event_ns,
        result.now_ns,
    )


def _is_plain(result: NamespaceResult) -> bool:
    if result.retry_at_ns is not None or result.counters is not None or result.idle:
        return False
    for key in result.keys:
        if key.state is not State.AS_WANTED or key.setting.steers:
            return False  # where ip_vs lacks some of the steering keys, there are fewer values
    for outcome in result.outcomes:
        if outcome.written_ns is None:
            return False
    return len(result.writes) == len(result.outcomes)


def unpack_result(packed: PackedResult, namespace: Namespace, rules: Rules) -> NamespaceResult:
    """Return the result of a visit to a namespace, for which these rules were in force."""
    if isinstance(packed, NamespaceResult):
        return packed
    _, word, values, estimators, cookie, event_ns, now_ns = packed
    reason = Reason(word)
    keys, writes, outcomes = [], [], []
    for setting, (value, found, written_ns) in zip(rules.settings, values):
        keys.append(_as_wanted(setting, value))
        if written_ns:
            write = Write(namespace, setting.key, found, setting.wanted, reason)
            writes.append(write)
            outcomes.append(Outcome(write, Reading(Found.VALUE, value), written_ns))
    return NamespaceResult(
        namespace,
        reason,
        rules.rule,
        tuple(keys),
        tuple(writes),
        tuple(outcomes),
        estimators,
        cookie,
        None,
        event_ns,
        now_ns=now_ns,
    )


@functools.lru_cache(maxsize=256)
def _as_wanted(setting: Setting, value: str) -> KeyStatus:
    return KeyStatus(setting, State.AS_WANTED, value)
