"""What the check of values came to, put into the memory."""

from typing import Dict, List, Optional, Set, Tuple

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce import exposure
from ipvsd.enforce.contest import CONTESTABLE, CONTESTED_AFTER, Contest
from ipvsd.enforce.decide import LOAD_WAIT_NS
from ipvsd.enforce.memory import LastWrite, Memory, Tally
from ipvsd.enforce.namespace_state import NamespaceState, is_another
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.rate_limit import rate_limiter
from ipvsd.model import (
    CheckResults,
    Identity,
    KeyStatus,
    Mode,
    Module,
    NamespaceResult,
    Outcome,
    Policy,
    Reason,
    State,
    Write,
)
from ipvsd.text import format_duration

# Nobody may change them, whatever the policy says.
_FOREIGN = (State.HIDDEN, State.READ_ONLY)


# Said once and remembered while ip_vs comes and goes: another load will not cure them.
_LASTING = (State.UNSUPPORTED, State.UNREADABLE, State.DENIED, State.REFUSED, *_FOREIGN)


def record_host(memory: Memory, policy: Policy, done: CheckResults) -> Tuple[Memory, List[Event]]:
    """Return the memory after a pass over the host's namespace, and the events that are news."""
    before = memory
    (host,) = done.seen
    if before.waiting_since_ns is not None:
        host = host._replace(event_ns=before.waiting_since_ns)
        done = done._replace(seen=(host,))
    memory, new_events = module_seen(memory, done.module, host.event_ns, done.now_ns)
    if _is_load(before, done):
        loaded_ns = host.event_ns if host.event_ns is not None else before.checked_ns
        memory = memory._replace(loads=memory.loads + 1, loaded_ns=loaded_ns)
    memory = memory._replace(checked_ns=done.now_ns, instance=done.instance)
    memory, more = record(memory, policy, done)
    new_events += more
    appeared = _appeared(before, done)
    if appeared and not _as_wanted(before, done) and _as_wanted(memory, done) and not new_events:
        new_events.append(
            events.plain(Kind.LOADED, "ip_vs: loaded; all guarded values are as wanted")
        )
    return memory, new_events


def record(memory: Memory, policy: Policy, done: CheckResults) -> Tuple[Memory, List[Event]]:
    """Return the memory after a pass over some namespaces, and the events that are news."""
    namespaces, revision = dict(memory.namespaces), memory.revision
    new_events: List[Event] = []
    for seen in done.seen:
        identity = seen.namespace.identity
        known = namespaces.pop(identity, None)
        if known is not None and _is_unchanged(known, seen):
            namespaces[identity] = known._replace(checked_ns=done.now_ns)
            continue
        settling = _NamespaceRecord(memory, policy, done, seen, known)
        memory = settling.memory
        new_events += settling.new_events
        if settling.ns_state is not None:
            namespaces[identity] = settling.ns_state
        revision += int(_has_changed(known, settling.ns_state))
    state, told = rate_limiter(memory.rate_limiter, new_events, done.now_ns)
    return memory._replace(namespaces=namespaces, revision=revision, rate_limiter=state), told


def forget(memory: Memory, alive: Set[Identity], now_ns: int) -> Memory:
    """Return the memory without the namespaces that are no longer there."""
    gone = [ns_state for identity, ns_state in memory.namespaces.items() if identity not in alive]
    for ns_state in gone:
        memory = memory._replace(tally=_closed(memory.tally, ns_state, now_ns))
    namespaces = {key: ns_state for key, ns_state in memory.namespaces.items() if key in alive}
    return memory._replace(namespaces=namespaces, revision=memory.revision + 1) if gone else memory


def without_module(memory: Memory, host: Identity, now_ns: int) -> Memory:
    """Return the memory when ip_vs has gone, and every value but what was told of it with it."""
    namespaces, revision = dict(memory.namespaces), memory.revision
    for identity, ns_state in memory.namespaces.items():
        if identity != host and ns_state.keys:
            revision = memory.revision + 1
            memory = memory._replace(tally=_closed(memory.tally, ns_state, now_ns))
            exposed = exposure.right(ns_state.exposure, now_ns)
            namespaces[identity] = ns_state._replace(
                keys=(), rule="", contests={}, held_since_ns=None, exposure=exposed
            )
    return memory._replace(namespaces=namespaces, revision=revision)


def reset_contests(memory: Memory) -> Memory:
    """Return the memory without contests: the user has reloaded the configuration."""
    namespaces = {
        key: ns_state._replace(contests={}) for key, ns_state in memory.namespaces.items()
    }
    return memory._replace(namespaces=namespaces)


def module_seen(
    memory: Memory, module: Module, event_ns: Optional[int], now_ns: int
) -> Tuple[Memory, List[Event]]:
    """Return memory and news after ip_vs was seen in a state, or told to be in it."""
    before, since = memory.module, memory.waiting_since_ns
    new_events: List[Event] = []
    if before is not None and before.loaded and not module.loaded:
        new_events.append(events.plain(Kind.REMOVED, "ip_vs: removed; waiting for the next load"))
    if module is Module.COMING:
        since = since if since is not None else event_ns if event_ns is not None else now_ns
        waited_out = now_ns - since >= LOAD_WAIT_NS
        if waited_out and not memory.waited_out:
            message = (
                f"ip_vs: still loading after {format_duration(LOAD_WAIT_NS)}; its sysctls will "
                "be set at the next periodic look that finds them"
            )
            new_events.append(events.plain(Kind.LOAD_SLOW, message))
        return memory._replace(
            module=module, waiting_since_ns=since, waited_out=waited_out
        ), new_events
    if since is not None and not module.loaded:
        new_events.append(
            events.plain(Kind.LOAD_FAILED, "ip_vs: load failed; waiting for the next one")
        )
    return memory._replace(module=module, waiting_since_ns=None, waited_out=False), new_events


def is_reload(memory: Memory, instance: Optional[int]) -> bool:
    """Whether ip_vs is there, and not as the instance that it was before."""
    return None not in (memory.instance, instance) and memory.instance != instance


def events_lost(memory: Memory, cause: str) -> Tuple[Memory, Event]:
    """Return memory and news after the uevent socket failed or overflowed."""
    message = f"uevents: some were lost ({cause}); everything was looked at again"
    memory = memory._replace(events_lost=memory.events_lost + 1)
    return memory, events.plain(Kind.EVENTS_LOST, message)


def _appeared(before: Memory, done: CheckResults) -> bool:
    """Whether ip_vs is there that was not there when last looked."""
    return before.module is not None and not before.module.loaded and done.module.loaded


def _is_load(before: Memory, done: CheckResults) -> bool:
    """Whether ip_vs was loaded, or removed and loaded of which nothing was heard."""
    return _appeared(before, done) or is_reload(before, done.instance)


def _as_wanted(memory: Memory, done: CheckResults) -> bool:
    """Whether the values of the namespaces of a pass were last told to be as wanted."""
    namespaces = [memory.namespaces.get(seen.namespace.identity) for seen in done.seen]
    conditions = [
        state for ns_state in namespaces if ns_state for state, _ in ns_state.conditions.values()
    ]
    return all(state is State.AS_WANTED for state in conditions)


def _is_unchanged(known: NamespaceState, seen: NamespaceResult) -> bool:
    """Whether all is well and was so before: the common case, which costs next to nothing."""
    return (
        not seen.writes
        and seen.keys == known.keys
        and seen.namespace == known.namespace
        and seen.rule == known.rule
        and seen.estimators == known.estimators
        and seen.cookie == known.cookie
        and known.exposure.since_ns is None
        and known.held_since_ns is None
        and not known.contests
        and all(key.state is State.AS_WANTED for key in seen.keys)
    )


def _has_changed(known: Optional[NamespaceState], now: Optional[NamespaceState]) -> bool:
    """Whether there is more to tell of a namespace than before; an exposure that lasts grows."""
    if known is None or now is None:
        return known is not now
    return now != known._replace(checked_ns=now.checked_ns) or now.exposure.since_ns is not None


def _closed(tally: Tally, ns_state: NamespaceState, now_ns: int) -> Tally:
    """Return the tally after a namespace has gone, with whatever it was still exposed to."""
    before, after = ns_state.exposure, exposure.right(ns_state.exposure, now_ns)
    return tally._replace(
        exposed_ns=tally.exposed_ns + after.closed_ns - before.closed_ns,
        runs_leaked=tally.runs_leaked + after.closed_runs - before.closed_runs,
    )


class _NamespaceRecord:
    """One namespace of a pass being settled; the results are in `memory`, `space` and `news`."""

    def __init__(
        self,
        memory: Memory,
        policy: Policy,
        done: CheckResults,
        seen: NamespaceResult,
        known: Optional[NamespaceState],
    ) -> None:
        self.memory = memory
        self.new_events: List[Event] = []
        self.ns_state: Optional[NamespaceState] = None
        self._policy = policy
        self._done = done
        self._seen = seen
        if known is not None and is_another(known, seen.cookie):
            self._lose(known)
            known = None
        if any(key.state is State.GONE for key in seen.keys):
            self._lose(known)
            return
        self._known = known if known is not None else self._new()
        self.ns_state = self._known._replace(
            namespace=seen.namespace,
            rule=seen.rule,
            keys=seen.keys,
            checked_ns=done.now_ns,
            reason=seen.reason if seen.writes else self._known.reason,
        )
        self._estimators()
        leaked = self._exposure()
        self._writes(leaked)
        self._conditions()

    def _new(self) -> NamespaceState:
        now_ns = self._done.now_ns
        return NamespaceState(self._seen.namespace, now_ns, self._done.wall_ns, now_ns)

    def _lose(self, known: Optional[NamespaceState]) -> None:
        if known is not None:
            tally = _closed(self.memory.tally, known, self._done.now_ns)
            self.memory = self.memory._replace(tally=tally)

    def _update(self, **changes: object) -> None:
        assert self.ns_state is not None
        self.ns_state = self.ns_state._replace(**changes)  # type: ignore[arg-type]

    def _estimators(self) -> None:
        seen, known = self._seen, self._known
        if seen.cookie is not None:
            self._update(cookie=seen.cookie)
        if seen.estimators is not None and seen.estimators != known.estimators:
            self._update(estimators=seen.estimators, estimators_since_ns=self._done.now_ns)
        held = any(key.state is State.HELD for key in seen.keys)
        since_ns = known.held_since_ns if known.held_since_ns is not None else self._done.now_ns
        self._update(held_since_ns=since_ns if held else None)

    def _exposure(self) -> int:
        """Account for the time that run_estimation was wrong; return the passes leaked by that."""
        seen, before = self._seen, self._known.exposure
        states = [k.state for k in seen.keys if k.setting[:2] == (RUN_ESTIMATION, "0")]
        minded = self._policy.mode is Mode.ENFORCE and states and states[0] not in _FOREIGN
        after = before
        if minded and any(write.key == RUN_ESTIMATION for write in seen.writes):
            after = exposure.wrong(after, self._wrong_since_ns())
        if not minded or states[0] in (State.AS_WANTED, State.ABSENT):
            written = [o.written_ns for o in seen.outcomes if o.write.key == RUN_ESTIMATION]
            until_ns = written[0] if written and written[0] is not None else self._done.now_ns
            after = exposure.right(after, until_ns)
        leaked = after.closed_runs - before.closed_runs
        tally = self.memory.tally
        tally = tally._replace(
            exposed_ns=tally.exposed_ns + after.closed_ns - before.closed_ns,
            runs_leaked=tally.runs_leaked + leaked,
        )
        self.memory = self.memory._replace(tally=tally)
        self._update(exposure=after)
        return leaked

    def _wrong_since_ns(self) -> int:
        """Since when the value that was found wrong can have been so, at the most."""
        done, reason = self._done, self._seen.reason
        bounds = {
            Reason.LOAD: self.memory.loaded_ns,
            Reason.BIRTH: done.since_ns,
            Reason.DRIFT: self._known.checked_ns,
            Reason.RESYNC: self._known.checked_ns,
        }
        for since_ns in (self._seen.event_ns, bounds.get(reason)):
            if since_ns is not None:
                return since_ns
        return done.now_ns

    def _writes(self, leaked: int) -> None:
        states = {key.setting.key: key.state for key in self._seen.keys}
        for outcome in self._seen.outcomes:
            if outcome.written_ns is None:
                continue
            contest = self._count_set_again(outcome.write)
            if states[outcome.write.key] is State.AS_WANTED:
                self._written(outcome, outcome.written_ns, leaked, contest)

    def _count_set_again(self, write: Write) -> Contest:
        """Count a value that was set again as contested; return what is known of the contest.

        A load or a birth is nobody's doing: it ends a contest.
        """
        assert self.ns_state is not None
        contests, contest = dict(self.ns_state.contests), Contest()
        before = contests.pop(write.key, contest)
        if write.reason in CONTESTABLE:
            contest = contests[write.key] = before.set_again(
                self._done.now_ns, self._policy.resync_ns
            )
            if contest.times == CONTESTED_AFTER:
                self.new_events.append(events.contested(write, self._policy, self._done.writer))
        self._update(contests=contests)
        return contest

    def _written(self, outcome: Outcome, written_ns: int, leaked: int, contest: Contest) -> None:
        write, memory = outcome.write, self.memory
        event_ns = self._seen.event_ns
        reaction_ns = max(0, written_ns - event_ns) if event_ns is not None else None
        writes = dict(memory.tally.writes)
        writes[write.reason.value] = writes.get(write.reason.value, 0) + 1
        tally = memory.tally._replace(writes=writes)
        if reaction_ns is not None:
            self._update(set_after_ns=reaction_ns)
            tally = tally._replace(reactions=tally.reactions.plus(reaction_ns))
        last_write = LastWrite(outcome, reaction_ns, self._done.wall_ns)
        self.memory = memory._replace(tally=tally, last_write=last_write)
        if not contest.contested:
            self.new_events.append(events.changed(outcome, reaction_ns, leaked))

    def _conditions(self) -> None:
        """Tell the conditions that are new, and remember those that have been told."""
        assert self.ns_state is not None
        conditions = {}
        writes = {write.key: write for write in self._seen.writes}
        for key in self._seen.keys:
            name = key.setting.key
            told = self._known.conditions.get(name)
            away = key.state in (State.ABSENT, State.LOADING)
            lasts = away and told is not None and told[0] in _LASTING
            now = told if lasts and told is not None else (key.state, key.detail)
            event = self._condition_event(key, writes.get(name)) if now != told else None
            conditions[name] = now
            self.new_events += [event] if event is not None else []
            if name in writes and key.state in (State.DENIED, State.REFUSED):
                tally = self.memory.tally
                tally = tally._replace(failures=tally.failures + 1)
                self.memory = self.memory._replace(tally=tally)
        self._update(conditions=conditions, contests=self._contests())

    def _contests(self) -> Dict[str, Contest]:
        """Return the contests that go on; those that are over are told if they had been told."""
        assert self.ns_state is not None
        extend_timeout = {}
        right = {key.setting.key for key in self._seen.keys if key.state is State.AS_WANTED}
        for name, contest in self.ns_state.contests.items():
            if name in right and contest.over(self._done.now_ns, self._policy.resync_ns):
                if contest.contested:
                    self.new_events.append(events.contest_over(name, self._seen.namespace))
            else:
                extend_timeout[name] = contest
        return extend_timeout

    def _condition_event(self, key: KeyStatus, write: Optional[Write]) -> Optional[Event]:
        namespace, name = self._seen.namespace, key.setting.key
        if key.state in _FOREIGN:
            return events.foreign(name, namespace, key.state)
        if key.state is State.UNSUPPORTED:
            return events.unsupported(name, namespace, key.detail)
        if key.state in (State.DENIED, State.REFUSED) and write is not None:
            return events.not_changed(write, key.detail, self._policy)
        if key.state in (State.UNREADABLE, State.DENIED):
            return events.unreadable(name, namespace, key.detail)
        if key.state is State.HELD and write is not None:
            return events.held(write)
        if key.state is State.DIFFERS and write is not None and self._policy.mode is Mode.OBSERVE:
            return events.would_change(write)
        return None
