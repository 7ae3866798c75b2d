"""The memory of the guard: what a pass came to, what of it is news, and the counters."""

from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from ipvsd.core import events, exposure
from ipvsd.core.contest import CONTESTABLE, STRIKES, Fight
from ipvsd.core.digest import Digest, digest
from ipvsd.core.events import Event, Kind
from ipvsd.core.histogram import Histogram
from ipvsd.core.model import (
    Identity,
    KeyStatus,
    Mode,
    Module,
    Outcome,
    Policy,
    Reason,
    Seen,
    State,
    Write,
)
from ipvsd.core.plan import LOAD_WAIT_NS
from ipvsd.core.spaces import Space, is_another
from ipvsd.core.text import format_duration
from ipvsd.core.values import RUN_ESTIMATION

# Nobody may change them, whatever the policy says.
_FOREIGN = (State.HIDDEN, State.READ_ONLY)
# Said once and remembered while ip_vs comes and goes: another load will not cure them.
_LASTING = (State.UNSUPPORTED, State.UNREADABLE, State.DENIED, State.REFUSED, *_FOREIGN)


class Pass(NamedTuple):
    """One pass over the guarded keys, as it went: of the host, or of some other namespaces."""

    module: Module
    seen: Tuple[Seen, ...]
    since_ns: Optional[int]  # what was not known before was not there before this moment
    now_ns: int
    wall_ns: int  # the same moment, since the epoch
    writer: str = ""  # who has last written a sysctl, if that is known
    instance: Optional[int] = None  # of ip_vs, before the pass: another one after each load

    @property
    def keys(self) -> Tuple[KeyStatus, ...]:
        """The guarded keys of all namespaces that were seen."""
        return tuple(key for seen in self.seen for key in seen.keys)


class LastWrite(NamedTuple):
    """The newest value that the guard has set."""

    outcome: Outcome
    reaction_ns: Optional[int]
    wall_ns: int


class Tally(NamedTuple):
    """What is counted over all namespaces, those that are gone included."""

    writes: Dict[str, int] = {}
    failures: int = 0
    exposed_ns: int = 0
    passes_leaked: int = 0
    reactions: Histogram = Histogram()


class Memory(NamedTuple):
    """All that one pass leaves for the next; never changed in place."""

    module: Optional[Module] = None  # None before the first pass
    instance: Optional[int] = None  # of ip_vs: another one after each load
    waiting_since_ns: Optional[int] = None  # while ip_vs is on its way
    waited_out: bool = False
    loads: int = 0
    loaded_ns: Optional[int] = None  # when ip_vs was last loaded, at the earliest
    looked_ns: Optional[int] = None  # when ip_vs was last looked at
    spaces: Dict[Identity, Space] = {}
    revision: int = 0  # of what is told of them: neither moments of looks count nor contests
    tally: Tally = Tally()
    events_lost: int = 0
    last_write: Optional[LastWrite] = None
    digest: Digest = Digest()


def settle_host(memory: Memory, policy: Policy, done: Pass) -> Tuple[Memory, List[Event]]:
    """Return the memory after a pass over the host's namespace, and the events that are news."""
    before = memory
    (host,) = done.seen
    if before.waiting_since_ns is not None:
        host = host._replace(told_ns=before.waiting_since_ns)
        done = done._replace(seen=(host,))
    memory, news = module_seen(memory, done.module, host.told_ns, done.now_ns)
    if _is_load(before, done):
        loaded_ns = host.told_ns if host.told_ns is not None else before.looked_ns
        memory = memory._replace(loads=memory.loads + 1, loaded_ns=loaded_ns)
    memory = memory._replace(looked_ns=done.now_ns, instance=done.instance)
    memory, more = settle(memory, policy, done)
    news += more
    appeared = _appeared(before, done)
    if appeared and not _as_wanted(before, done) and _as_wanted(memory, done) and not news:
        news.append(events.plain(Kind.LOADED, "ip_vs: loaded; all guarded values are as wanted"))
    return memory, news


def settle(memory: Memory, policy: Policy, done: Pass) -> Tuple[Memory, List[Event]]:
    """Return the memory after a pass over some namespaces, and the events that are news."""
    spaces, revision = dict(memory.spaces), memory.revision
    news: List[Event] = []
    for seen in done.seen:
        identity = seen.namespace.identity
        known = spaces.pop(identity, None)
        if known is not None and _as_before(known, seen):
            spaces[identity] = known._replace(looked_ns=done.now_ns)
            continue
        settling = _Settling(memory, policy, done, seen, known)
        memory = settling.memory
        news += settling.news
        if settling.space is not None:
            spaces[identity] = settling.space
        revision += int(_is_news(known, settling.space))
    state, told = digest(memory.digest, news, done.now_ns)
    return memory._replace(spaces=spaces, revision=revision, digest=state), told


def forget(memory: Memory, alive: Set[Identity], now_ns: int) -> Memory:
    """Return the memory without the namespaces that are no longer there."""
    gone = [space for identity, space in memory.spaces.items() if identity not in alive]
    for space in gone:
        memory = memory._replace(tally=_closed(memory.tally, space, now_ns))
    spaces = {key: space for key, space in memory.spaces.items() if key in alive}
    return memory._replace(spaces=spaces, revision=memory.revision + 1) if gone else memory


def without_module(memory: Memory, host: Identity, now_ns: int) -> Memory:
    """Return the memory when ip_vs has gone, and every value but what was told of it with it."""
    spaces, revision = dict(memory.spaces), memory.revision
    for identity, space in memory.spaces.items():
        if identity != host and space.keys:
            revision = memory.revision + 1
            memory = memory._replace(tally=_closed(memory.tally, space, now_ns))
            exposed = exposure.right(space.exposure, now_ns)
            spaces[identity] = space._replace(
                keys=(), rule="", fights={}, held_since_ns=None, exposure=exposed
            )
    return memory._replace(spaces=spaces, revision=revision)


def forgive(memory: Memory) -> Memory:
    """Return the memory without contests: the user has reloaded the configuration."""
    spaces = {key: space._replace(fights={}) for key, space in memory.spaces.items()}
    return memory._replace(spaces=spaces)


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


def is_reload(memory: Memory, instance: Optional[int]) -> bool:
    """Whether ip_vs is there, and not as the instance that it was before."""
    return None not in (memory.instance, instance) and memory.instance != instance


def events_lost(memory: Memory, cause: str) -> Tuple[Memory, Event]:
    """Return memory and news after the uevent socket failed or overflowed."""
    message = f"uevents: some were lost ({cause}); everything was looked at again"
    memory = memory._replace(events_lost=memory.events_lost + 1)
    return memory, events.plain(Kind.EVENTS_LOST, message)


def _appeared(before: Memory, done: Pass) -> bool:
    """Whether ip_vs is there that was not there when last looked."""
    return before.module is not None and not before.module.loaded and done.module.loaded


def _is_load(before: Memory, done: Pass) -> bool:
    """Whether ip_vs was loaded, or removed and loaded of which nothing was heard."""
    return _appeared(before, done) or is_reload(before, done.instance)


def _as_wanted(memory: Memory, done: Pass) -> bool:
    """Whether the values of the namespaces of a pass were last told to be as wanted."""
    spaces = [memory.spaces.get(seen.namespace.identity) for seen in done.seen]
    conditions = [state for space in spaces if space for state, _ in space.conditions.values()]
    return all(state is State.AS_WANTED for state in conditions)


def _as_before(known: Space, seen: Seen) -> bool:
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
        and not known.fights
        and all(key.state is State.AS_WANTED for key in seen.keys)
    )


def _is_news(known: Optional[Space], now: Optional[Space]) -> bool:
    """Whether there is more to tell of a namespace than before; an exposure that lasts grows."""
    if known is None or now is None:
        return known is not now
    return now != known._replace(looked_ns=now.looked_ns) or now.exposure.since_ns is not None


def _closed(tally: Tally, space: Space, now_ns: int) -> Tally:
    """Return the tally after a namespace has gone, with whatever it was still exposed to."""
    before, after = space.exposure, exposure.right(space.exposure, now_ns)
    return tally._replace(
        exposed_ns=tally.exposed_ns + after.closed_ns - before.closed_ns,
        passes_leaked=tally.passes_leaked + after.closed_passes - before.closed_passes,
    )


class _Settling:
    """One namespace of a pass being settled; the results are in `memory`, `space` and `news`."""

    def __init__(
        self, memory: Memory, policy: Policy, done: Pass, seen: Seen, known: Optional[Space]
    ) -> None:
        self.memory = memory
        self.news: List[Event] = []
        self.space: Optional[Space] = None
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
        self.space = self._known._replace(
            namespace=seen.namespace,
            rule=seen.rule,
            keys=seen.keys,
            looked_ns=done.now_ns,
            reason=seen.reason if seen.writes else self._known.reason,
        )
        self._estimators()
        leaked = self._exposure()
        self._writes(leaked)
        self._conditions()

    def _new(self) -> Space:
        now_ns = self._done.now_ns
        return Space(self._seen.namespace, now_ns, self._done.wall_ns, now_ns)

    def _lose(self, known: Optional[Space]) -> None:
        if known is not None:
            tally = _closed(self.memory.tally, known, self._done.now_ns)
            self.memory = self.memory._replace(tally=tally)

    def _update(self, **changes: object) -> None:
        assert self.space is not None
        self.space = self.space._replace(**changes)  # type: ignore[arg-type]

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
        leaked = after.closed_passes - before.closed_passes
        tally = self.memory.tally
        tally = tally._replace(
            exposed_ns=tally.exposed_ns + after.closed_ns - before.closed_ns,
            passes_leaked=tally.passes_leaked + leaked,
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
            Reason.DRIFT: self._known.looked_ns,
            Reason.RESYNC: self._known.looked_ns,
        }
        for since_ns in (self._seen.told_ns, bounds.get(reason)):
            if since_ns is not None:
                return since_ns
        return done.now_ns

    def _writes(self, leaked: int) -> None:
        states = {key.setting.key: key.state for key in self._seen.keys}
        for outcome in self._seen.outcomes:
            if outcome.written_ns is None:
                continue
            fight = self._struck(outcome.write)
            if states[outcome.write.key] is State.AS_WANTED:
                self._written(outcome, outcome.written_ns, leaked, fight)

    def _struck(self, write: Write) -> Fight:
        """Count a value that was set again as contested; return what is known of the contest.

        A load or a birth is nobody's doing: it ends a contest.
        """
        assert self.space is not None
        fights, fight = dict(self.space.fights), Fight()
        before = fights.pop(write.key, fight)
        if write.reason in CONTESTABLE:
            fight = fights[write.key] = before.struck(self._done.now_ns, self._policy.resync_ns)
            if fight.strikes == STRIKES:
                self.news.append(events.contested(write, self._policy, self._done.writer))
        self._update(fights=fights)
        return fight

    def _written(self, outcome: Outcome, written_ns: int, leaked: int, fight: Fight) -> None:
        write, memory = outcome.write, self.memory
        told_ns = self._seen.told_ns
        reaction_ns = max(0, written_ns - told_ns) if told_ns is not None else None
        writes = dict(memory.tally.writes)
        writes[write.reason.value] = writes.get(write.reason.value, 0) + 1
        tally = memory.tally._replace(writes=writes)
        if reaction_ns is not None:
            self._update(set_after_ns=reaction_ns)
            tally = tally._replace(reactions=tally.reactions.plus(reaction_ns))
        last_write = LastWrite(outcome, reaction_ns, self._done.wall_ns)
        self.memory = memory._replace(tally=tally, last_write=last_write)
        if not fight.contested:
            self.news.append(events.changed(outcome, reaction_ns, leaked))

    def _conditions(self) -> None:
        """Tell the conditions that are new, and remember those that have been told."""
        assert self.space is not None
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
            self.news += [event] if event is not None else []
            if name in writes and key.state in (State.DENIED, State.REFUSED):
                tally = self.memory.tally
                tally = tally._replace(failures=tally.failures + 1)
                self.memory = self.memory._replace(tally=tally)
        self._update(conditions=conditions, fights=self._fights())

    def _fights(self) -> Dict[str, Fight]:
        """Return the contests that go on; those that are over are told if they had been told."""
        assert self.space is not None
        going_on = {}
        right = {key.setting.key for key in self._seen.keys if key.state is State.AS_WANTED}
        for name, fight in self.space.fights.items():
            if name in right and fight.over(self._done.now_ns, self._policy.resync_ns):
                if fight.contested:
                    self.news.append(events.contest_over(name, self._seen.namespace))
            else:
                going_on[name] = fight
        return going_on

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
