"""Decides what the check of one namespace means: its new state, the counts, the events."""

from typing import Any, Dict, List, Optional

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce import decide, exposure
from ipvsd.enforce.contest import CONTESTABLE, CONTESTED_AFTER, Contest
from ipvsd.enforce.memory import LastWrite, Memory
from ipvsd.enforce.namespace_state import NamespaceState, is_another
from ipvsd.journal import events
from ipvsd.journal.events import Event
from ipvsd.model import (
    FOREIGN,
    HOST_NAME,
    RIGHT,
    CheckResults,
    KeyStatus,
    Mode,
    NamespaceResult,
    Outcome,
    Policy,
    Reason,
    State,
    Write,
)

_LONG = "long"  # instead of a detail: that this hold lasts long was logged
# Logged once, and remembered while ip_vs is removed and loaded: another load does not cure them.
_PERMANENT = (
    State.UNSUPPORTED,
    State.OFF_OTHERWISE,
    State.UNREADABLE,
    State.DENIED,
    State.REFUSED,
    *FOREIGN,
)


class NamespaceRecord:
    """What the check of one namespace leaves behind.

    After construction `ns_state` holds the namespace's new state (None if the namespace is gone),
    `tally` the counts, `last_write` the write if there was one, and `events` what happened.
    """

    def __init__(
        self,
        memory: Memory,
        policy: Policy,
        done: CheckResults,
        result: NamespaceResult,
        known: Optional[NamespaceState],
    ) -> None:
        """Work out everything at once; `known` is the namespace's state before the check."""
        self.ns_state: Optional[NamespaceState] = None
        self.tally = memory.tally
        self.last_write: Optional[LastWrite] = None
        self.events: List[Event] = []
        self._loaded_ns = memory.loaded_ns
        self._unsupported = memory.unsupported
        self._policy = policy
        self._done = done
        self._result = result
        if known is not None and is_another(known, result.cookie):
            self._close(known)
            known = None
        if any(key.state is State.GONE for key in result.keys):
            self._close(known)
            return
        self._known = known if known is not None else self._first_state()
        self._contests = self._known.contests
        self._changes: Dict[str, Any] = {"checked_ns": done.now_ns}
        if result.writes:
            self._changes["reason"] = result.reason
        self._record_estimators()
        leaked = self._record_exposure()
        self._record_writes(leaked)
        self._record_conditions()
        self.ns_state = self._known._replace(
            namespace=result.namespace, rule=result.rule, keys=result.keys, **self._changes
        )

    def _first_state(self) -> NamespaceState:
        now_ns = self._done.now_ns
        return NamespaceState(self._result.namespace, now_ns, self._done.wall_ns, now_ns)

    def _close(self, known: Optional[NamespaceState]) -> None:
        """Count what a namespace that is gone was exposed to."""
        if known is not None:
            self.tally = self.tally.plus_gone(known, self._done.since_ns)

    def _record_estimators(self) -> None:
        result, known = self._result, self._known
        if result.cookie is not None:
            self._changes["cookie"] = result.cookie
        if result.estimators is not None and result.estimators != known.estimators:
            self._changes["estimators"] = result.estimators
            self._changes["estimators_since_ns"] = self._done.now_ns
        held = any(key.state is State.HELD for key in result.keys)
        since_ns = known.held_since_ns if known.held_since_ns is not None else self._done.now_ns
        self._changes["held_since_ns"] = since_ns if held else None

    def _is_held_long(self) -> bool:
        return decide.is_held_long(self._known, self._done.now_ns)

    def _record_exposure(self) -> int:
        """Count the time that run_estimation was wrong; return the estimation runs in that time."""
        result, before = self._result, self._known.exposure
        states = [key.state for key in result.keys if key.setting[:2] == (RUN_ESTIMATION, "0")]
        counted = self._policy.mode is Mode.ENFORCE and states and states[0] not in FOREIGN
        after = before
        if counted and any(write.key == RUN_ESTIMATION for write in result.writes):
            after = exposure.wrong(after, self._wrong_since_ns())
        if not counted or states[0] in (*RIGHT, State.ABSENT):
            written = [one.written_ns for one in result.outcomes if one.write.key == RUN_ESTIMATION]
            until_ns = written[0] if written and written[0] is not None else self._done.now_ns
            by_others = result.reason in CONTESTABLE
            after = exposure.right(after, until_ns, result.idle, by_others)
        if after is not before:
            self.tally = self.tally.plus_exposure(before, after)
            self._changes["exposure"] = after
        return after.closed_runs - before.closed_runs

    def _wrong_since_ns(self) -> int:
        """Return the earliest moment since when the value can have been wrong."""
        bounds = {
            Reason.LOAD: self._loaded_ns,
            Reason.BIRTH: self._done.since_ns,
            Reason.DRIFT: self._known.checked_ns,
            Reason.RESYNC: self._known.checked_ns,
        }
        for since_ns in (self._result.event_ns, bounds.get(self._result.reason)):
            if since_ns is not None:
                return since_ns
        return self._done.now_ns

    def _record_writes(self, leaked: int) -> None:
        states = {key.setting.key: key.state for key in self._result.keys}
        for outcome in self._result.outcomes:
            if outcome.written_ns is None:
                continue
            if outcome.write.key == RUN_ESTIMATION and outcome.after.value == "0":
                since_ns = self._done.now_ns - outcome.written_ns
                self._changes["off_since_ns"] = self._done.wall_ns - since_ns
            contest = self._contest_after(outcome.write)
            if states[outcome.write.key] in RIGHT:
                self._record_write(outcome, outcome.written_ns, leaked, contest)

    def _contest_after(self, write: Write) -> Contest:
        """Count a value that was set again, and return its contest.

        A load or a birth is nobody's doing, and ends a contest. A sample changes none.
        """
        if write.reason is Reason.SAMPLE:
            return self._contests.get(write.key, Contest())
        contests, contest = dict(self._contests), Contest()
        before = contests.pop(write.key, contest)
        if write.reason in CONTESTABLE:
            contest = before.set_again(self._done.now_ns, self._policy.resync_ns)
            contests[write.key] = contest
            if contest.times == CONTESTED_AFTER:
                self.events.append(events.contested(write, self._policy, self._done.writer))
        self._contests = contests
        return contest

    def _record_write(
        self, outcome: Outcome, written_ns: int, leaked: int, contest: Contest
    ) -> None:
        event_ns = self._result.event_ns
        reaction_ns = max(0, written_ns - event_ns) if event_ns is not None else None
        if reaction_ns is not None:
            self._changes["set_after_ns"] = reaction_ns
        self.tally = self.tally.plus_write(outcome.write.reason, reaction_ns)
        self.last_write = LastWrite(outcome, reaction_ns, self._done.wall_ns)
        # A sample has one event, for all namespaces and for both of its ends.
        if not contest.contested and outcome.write.reason is not Reason.SAMPLE:
            self.events.append(events.changed(outcome, reaction_ns, leaked))

    def _record_conditions(self) -> None:
        """Log the conditions that are new, and remember those that were logged."""
        conditions = {}
        writes = {write.key: write for write in self._result.writes}
        for key in self._result.keys:
            name = key.setting.key
            logged = self._known.conditions.get(name)
            away = key.state in (State.ABSENT, State.LOADING)
            lasts = away and logged is not None and logged[0] in _PERMANENT
            now = logged if lasts and logged is not None else (key.state, key.detail)
            if key.state is State.HELD and self._is_held_long():
                now = (State.HELD, _LONG)
            event = self._condition_event(key, writes.get(name)) if now != logged else None
            if logged is not None and logged[0] is State.HELD and self._is_right_by_itself(key):
                event = events.held_over(name, self._result.namespace)
            conditions[name] = now
            self.events += [event] if event is not None else []
            if name in writes and key.state in (State.DENIED, State.REFUSED):
                self.tally = self.tally._replace(failures=self.tally.failures + 1)
        self._changes["conditions"] = conditions
        self._changes["contests"] = self._contests_that_go_on()

    def _is_right_by_itself(self, key: KeyStatus) -> bool:
        """Return whether a value is as wanted, and the guard did not write it now."""
        written = {one.write.key for one in self._result.outcomes}
        return key.state in RIGHT and key.setting.key not in written

    def _contests_that_go_on(self) -> Dict[str, Contest]:
        """Return the contests that are not over; the end of one that was logged is an event."""
        going_on = {}
        right = {key.setting.key for key in self._result.keys if key.state in RIGHT}
        for name, contest in self._contests.items():
            if name in right and contest.over(self._done.now_ns, self._policy.resync_ns):
                if contest.contested:
                    self.events.append(events.contest_over(name, self._result.namespace))
            else:
                going_on[name] = contest
        return going_on

    def _condition_event(self, key: KeyStatus, write: Optional[Write]) -> Optional[Event]:
        namespace, name = self._result.namespace, key.setting.key
        if key.state in FOREIGN:
            return events.foreign(name, namespace, key.state)
        if key.state is State.UNSUPPORTED:
            if namespace.name != HOST_NAME and name in self._unsupported:
                return None  # logged already; no namespace has what ip_vs lacks
            return events.unsupported(name, namespace, key.detail)
        if key.state is State.OFF_OTHERWISE and write is None and namespace.name == HOST_NAME:
            return events.off_otherwise(name, namespace, key.detail)
        if key.state in (State.DENIED, State.REFUSED) and write is not None:
            return events.not_changed(write, key.detail, self._policy)
        if key.state in (State.UNREADABLE, State.DENIED):
            return events.unreadable(name, namespace, key.detail)
        if key.state is State.HELD and write is not None:
            return events.held_long(write) if self._is_held_long() else events.held(write)
        if key.state is State.DIFFERS and write is not None and self._policy.mode is Mode.OBSERVE:
            return events.would_change(write)
        return None
