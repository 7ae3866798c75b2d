"""The memory of the guard: what a pass came to, what of it is news, and the counters."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ipvsd.core import events
from ipvsd.core.events import Event, Kind
from ipvsd.core.model import (
    KeyStatus,
    Mode,
    Module,
    Namespace,
    Outcome,
    Policy,
    Reason,
    State,
    Write,
)
from ipvsd.core.plan import LOAD_WAIT_NS
from ipvsd.core.text import format_duration, iso_time

# Version of the documents that `status --json` prints and status.json holds: raised when a
# field changes its meaning or goes, not when one is added.
STATUS_VERSION = 1

# Said once and remembered while ip_vs comes and goes: another load will not cure them.
_LASTING = (State.UNSUPPORTED, State.UNREADABLE, State.DENIED, State.REFUSED)

Condition = Tuple[State, str]


class Pass(NamedTuple):
    """One pass over all guarded keys, as it went."""

    reason: Reason
    namespace: Namespace
    module: Module
    keys: Tuple[KeyStatus, ...]
    writes: Tuple[Write, ...]  # planned; performed too unless mode = observe
    outcomes: Tuple[Outcome, ...]
    event_ns: Optional[int]  # when the event that asked for the pass was received
    now_ns: int
    wall_ns: int  # the same moment, since the epoch


class LastWrite(NamedTuple):
    """The newest value that the guard has set."""

    outcome: Outcome
    reaction_ns: Optional[int]
    wall_ns: int


class Memory(NamedTuple):
    """All that one pass leaves for the next; never changed in place."""

    module: Optional[Module] = None  # None before the first pass
    waiting_since_ns: Optional[int] = None  # while ip_vs is on its way
    waited_out: bool = False
    conditions: Dict[str, Condition] = {}
    loads: int = 0
    writes: Dict[str, int] = {}
    failures: int = 0
    events_lost: int = 0
    last_write: Optional[LastWrite] = None


def settle(memory: Memory, policy: Policy, done: Pass) -> Tuple[Memory, List[Event]]:
    """Return the memory after a pass, and the events that are news."""
    before = memory
    started = before.waiting_since_ns
    event_ns = started if started is not None else done.event_ns
    memory, news = module_seen(memory, done.module, done.event_ns, done.now_ns)
    memory = memory._replace(loads=memory.loads + int(_is_load(before, done)))
    as_wanted = {key.setting.key for key in done.keys if key.state is State.AS_WANTED}
    for outcome in done.outcomes:
        if outcome.written_ns is not None and outcome.write.key in as_wanted:
            memory, event = _written(memory, outcome, event_ns, done.wall_ns)
            news.append(event)
    memory, conditions = _conditions(memory, policy, done)
    news += conditions
    if _appeared(before, done) and not _as_wanted(before) and _as_wanted(memory) and not news:
        news.append(events.plain(Kind.LOADED, "ip_vs: loaded; all guarded values are as wanted"))
    return memory, news


def module_seen(
    memory: Memory, module: Module, event_ns: Optional[int], now_ns: int
) -> Tuple[Memory, List[Event]]:
    """Return memory and news after ip_vs was seen in a state, or told to be in it."""
    before, since = memory.module, memory.waiting_since_ns
    news: List[Event] = []
    if before is not None and before.loaded and not module.loaded:
        news.append(events.plain(Kind.REMOVED, "ip_vs: removed; waiting for the next load"))
    if module is Module.COMING:
        since = since if since is not None else event_ns if event_ns is not None else now_ns
        waited_out = now_ns - since >= LOAD_WAIT_NS
        if waited_out and not memory.waited_out:
            message = (
                f"ip_vs: still loading after {format_duration(LOAD_WAIT_NS)}; its sysctls will "
                "be set at the next periodic look that finds them"
            )
            news.append(events.plain(Kind.LOAD_SLOW, message))
        return memory._replace(module=module, waiting_since_ns=since, waited_out=waited_out), news
    if since is not None and not module.loaded:
        news.append(events.plain(Kind.LOAD_FAILED, "ip_vs: load failed; waiting for the next one"))
    return memory._replace(module=module, waiting_since_ns=None, waited_out=False), news


def events_lost(memory: Memory, cause: str) -> Tuple[Memory, Event]:
    """Return memory and news after the uevent socket failed or overflowed."""
    message = f"uevents: some were lost ({cause}); everything was looked at again"
    memory = memory._replace(events_lost=memory.events_lost + 1)
    return memory, events.plain(Kind.EVENTS_LOST, message)


def _appeared(before: Memory, done: Pass) -> bool:
    """Whether ip_vs is there that was not there when last looked."""
    return before.module is not None and not before.module.loaded and done.module.loaded


def _is_load(before: Memory, done: Pass) -> bool:
    """Whether ip_vs was loaded: it has appeared, or `add` came and values that were right are not.

    The second is a load whose `remove` was not heard; an `add` alone may be a synthetic one.
    """
    states = [before.conditions.get(write.key) for write in done.writes]
    reset = any(told is not None and told[0] is State.AS_WANTED for told in states)
    return _appeared(before, done) or (done.reason is Reason.LOAD and done.module.loaded and reset)


def _as_wanted(memory: Memory) -> bool:
    return all(state is State.AS_WANTED for state, _ in memory.conditions.values())


def _written(
    memory: Memory, outcome: Outcome, event_ns: Optional[int], wall_ns: int
) -> Tuple[Memory, Event]:
    reaction_ns = None
    if event_ns is not None and outcome.written_ns is not None:
        reaction_ns = outcome.written_ns - event_ns
    reason = outcome.write.reason.value
    writes = dict(memory.writes)
    writes[reason] = writes.get(reason, 0) + 1
    memory = memory._replace(writes=writes, last_write=LastWrite(outcome, reaction_ns, wall_ns))
    return memory, events.changed(outcome, reaction_ns)


def _conditions(memory: Memory, policy: Policy, done: Pass) -> Tuple[Memory, List[Event]]:
    """Tell the conditions that are new, and remember those that have been told."""
    news: List[Event] = []
    conditions: Dict[str, Condition] = {}
    failures = memory.failures
    writes = {write.key: write for write in done.writes}
    for key in done.keys:
        name = key.setting.key
        told = memory.conditions.get(name)
        away = key.state in (State.ABSENT, State.LOADING)
        lasts = away and told is not None and told[0] in _LASTING
        now = told if lasts and told is not None else (key.state, key.detail)
        event = _condition_event(policy, done, key, writes.get(name)) if now != told else None
        conditions[name] = now
        news += [event] if event is not None else []
        failures += int(name in writes and key.state in (State.DENIED, State.REFUSED))
    return memory._replace(conditions=conditions, failures=failures), news


def _condition_event(
    policy: Policy, done: Pass, key: KeyStatus, write: Optional[Write]
) -> Optional[Event]:
    if key.state is State.UNSUPPORTED:
        return events.unsupported(key.setting.key, done.namespace, key.detail)
    if key.state in (State.DENIED, State.REFUSED) and write is not None:
        return events.not_changed(write, key.detail, policy)
    if key.state in (State.UNREADABLE, State.DENIED):
        return events.unreadable(key.setting.key, done.namespace, key.detail)
    if key.state is State.DIFFERS and write is not None and policy.mode is Mode.OBSERVE:
        return events.would_change(write)
    return None


def summary(memory: Memory, policy: Policy, keys: Tuple[KeyStatus, ...]) -> str:
    """Return the one sentence that `systemctl status` shows."""
    module = memory.module.value if memory.module is not None else "unknown"
    wrong = [key for key in keys if key.state not in (State.AS_WANTED, State.ABSENT)]
    if not keys:
        text = "No sysctl is configured, nothing is guarded"
    elif wrong:
        text = "; ".join(f"{key.setting.key} is {key.state.value}" for key in wrong)
    elif memory.module is not None and not memory.module.loaded:
        text = f"Waiting for ip_vs ({module}) to set {_count(len(keys), 'sysctl')}"
    else:
        text = f"{_count(len(keys), 'sysctl')} as wanted, ip_vs {module}"
    mode = ", observing only" if policy.mode is Mode.OBSERVE else ""
    written = _count(sum(memory.writes.values()), "write")
    return f"{text}{mode}; {_count(memory.loads, 'load')} seen, {written}{_last(memory)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _last(memory: Memory) -> str:
    if memory.last_write is None or memory.last_write.reaction_ns is None:
        return ""
    return f" (last {format_duration(memory.last_write.reaction_ns)} after its event)"


def counters(memory: Memory) -> Dict[str, Any]:
    """Return what only the daemon knows, as plain data for status.json."""
    last = memory.last_write
    return {
        "loads": memory.loads,
        "writes": dict(sorted(memory.writes.items())),
        "failures": memory.failures,
        "events_lost": memory.events_lost,
        "last_write": None
        if last is None
        else {
            "namespace": last.outcome.write.namespace.name,
            "key": last.outcome.write.key,
            "old": last.outcome.write.found,
            "new": last.outcome.after.value,
            "reason": last.outcome.write.reason.value,
            "time": iso_time(last.wall_ns),
            "reaction_usec": None if last.reaction_ns is None else last.reaction_ns // 1000,
        },
    }


def keys_document(namespace: Namespace, keys: Tuple[KeyStatus, ...]) -> List[Dict[str, Any]]:
    """Return the guarded keys as plain data for JSON."""
    return [
        {
            "namespace": {"name": namespace.name, "inode": namespace.inode},
            "key": key.setting.key,
            "wanted": key.setting.wanted,
            "value": key.value or None,
            "state": key.state.value,
            "detail": key.detail or None,
            "origin": key.setting.origin,
        }
        for key in keys
    ]
