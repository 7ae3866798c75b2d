"""The namespaces other than the host's: found, and visited in turn, by the visitor's thread.

The loop hands the visitor one small job at a time and goes on; between two jobs it decides anew
what comes next, so that a new namespace never waits for a sweep of thousands to end.
"""

import os
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from ipvsd.core import agenda, spaces
from ipvsd.core.agenda import Agenda, Look
from ipvsd.core.ledger import Memory
from ipvsd.core.model import CANARY_NAME, NS_PER_S, Identity, Namespace, Policy, Reason, Seen, State
from ipvsd.guard import Guard, Target
from ipvsd.kernel.namespaces import Finder, ways_in
from ipvsd.kernel.netns import Visitor
from ipvsd.loop import monotonic_ns

# Small enough that what is urgent soon has its turn, large enough that handing over costs little.
VISITS_A_JOB = 64
# What takes longer hangs, in somebody else's file system on the way to a namespace. All of it has
# to be over, once for each way, before the unit's TimeoutStartSec= is.
VISITS_LIMIT_NS = 10 * NS_PER_S
LOOK_LIMIT_NS = 30 * NS_PER_S


Places = Dict[Identity, Tuple[Namespace, Tuple[str, ...]]]  # each with the ways into it


class Looked(NamedTuple):
    """What a look for namespaces came to."""

    there: Places
    fresh: Set[Identity]  # may be others than those known
    took_ns: int  # without describing those, which the next look need not do again


class Collected(NamedTuple):
    """What a job came to: visits, or a look for namespaces."""

    seen: Tuple[Seen, ...] = ()
    since_ns: Optional[int] = None  # what was not known before has not been there before
    alive: Optional[Set[Identity]] = None  # after a look: all that there are


class Visits:
    """The visits of one job, and how far the visitor has come with them."""

    def __init__(self, targets: Tuple[Target, ...], routine: bool) -> None:
        self.targets = targets
        self.routine = routine  # of a sweep, not because of news
        self.at = 0
        self.cpu_ns = 0

    def make(self, guard: Guard, policy: Policy) -> List[Seen]:
        """Make them, one after the other: the job itself."""
        seen = []
        began_s = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
        for target in self.targets:
            seen.append(guard.visit(policy, target))
            self.at += 1
        self.cpu_ns = int((time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - began_s) * 1e9)
        return seen


class Sweeper:
    """Looks for namespaces and into them, as its agenda says."""

    def __init__(self, guard: Guard, root: str) -> None:
        """Start the visitor. Raises OSError."""
        self._guard = guard
        self._root = root
        self._finder = Finder(root)
        self._visitor = Visitor()
        self._agenda = Agenda()
        self._there: Places = {}
        # Waiting to be visited, in this order.
        self._urgent: List[Identity] = []
        self._rest: List[Identity] = []
        self._fresh: Set[Identity] = set()  # may be others than those known, until visited
        self._again: Dict[Identity, int] = {}
        self._hung: Set[Identity] = set()
        # How many each had when last visited, be it under another load of ip_vs.
        self._estimators: Dict[Identity, int] = {}
        # Why everything is looked at anew, until that has been done; DRIFT when it is routine.
        self._campaign = Reason.DRIFT
        self._campaign_told_ns: Optional[int] = None
        self._settled: Set[Identity] = set()  # visited since that began
        self._owed: Set[Look] = set()  # what has to begin before it is over
        self._sweep_cpu_ns = 0
        self._look: Optional[Look] = None
        self._look_ns: Optional[int] = None  # when the last one began
        self._deep_ns: Optional[int] = None  # when the last deep one did
        self._took_ns = 0
        self._since_ns: Optional[int] = None
        self._born_ns: Optional[int] = None
        self._new = 0
        self._job: Optional[Visits] = None  # None during a look
        self._job_ns = 0

    def fileno(self) -> int:
        """Return the descriptor that is readable when a job is done."""
        return self._visitor.fileno()

    @property
    def whole(self) -> bool:
        """Whether all that was to be looked at anew has been."""
        return self._campaign is Reason.DRIFT

    @property
    def idle(self) -> bool:
        """Whether nothing is being done just now."""
        return not (self._visitor.busy or self._urgent or self._rest or self._look is not None)

    @property
    def visiting(self) -> bool:
        """Whether namespaces are being visited, or are about to be."""
        return bool(self._job or self._urgent or self._rest)

    def all_anew(self, reason: Reason, told_ns: Optional[int]) -> None:
        """Look into every namespace now; `told_ns` is when the reason was told, if it was.

        After a load those that are known come first: they need not be looked for.
        """
        self._campaign, self._campaign_told_ns = reason, told_ns
        self._settled, self._owed = set(), {Look.SWEEP, Look.DEEP}
        self._sweep_cpu_ns = 0
        self._rest = self._worst_first(self._there) if reason is Reason.LOAD else []
        self._agenda = agenda.all_anew(self._agenda, monotonic_ns())

    def hint(self, births: int = 0, born_ns: Optional[int] = None) -> None:
        """Look for new namespaces soon: so many births were told, the first at this moment."""
        self._agenda = agenda.hinted(self._agenda, monotonic_ns(), births, born_ns)

    def pause(self) -> None:
        """Look for nothing until all_anew(): ip_vs is not loaded."""
        self._agenda, self._campaign, self._look = Agenda(), Reason.DRIFT, None
        self._urgent, self._rest, self._again, self._owed = [], [], {}, set()

    def deadline_ns(self) -> Optional[int]:
        """Return when to call proceed() though nothing has happened, None for not at all."""
        if self._visitor.busy:
            return self._job_ns + (LOOK_LIMIT_NS if self._job is None else VISITS_LIMIT_NS)
        if not self.idle:
            return 0
        _, look_ns = agenda.next_look(self._agenda, monotonic_ns())
        moments = [look_ns] if look_ns is not None else []
        return min([*moments, *self._again.values()], default=None)

    def proceed(self, policy: Policy, memory: Memory, told: bool) -> None:
        """Give the visitor its next job, if it has none; `told` as in agenda.Done."""
        if self._visitor.busy:
            return
        now_ns = monotonic_ns()
        due = [identity for identity, moment_ns in self._again.items() if moment_ns <= now_ns]
        for identity in due:
            del self._again[identity]
        self._urgent += due
        if self._look is not None and not self._urgent:
            done = agenda.Done(self._look, self._new, self._took_ns, policy.resync_ns, told)
            self._agenda = agenda.looked(self._agenda, done, now_ns)
            self._look = None
        if not (self._urgent or self._rest or Look.SWEEP in self._owed):
            self._agenda = agenda.swept(self._agenda, self._sweep_cpu_ns, now_ns)
            self._sweep_cpu_ns = 0
        if not (self._urgent or self._rest or self._owed):
            self._campaign = Reason.DRIFT
        look, _ = agenda.next_look(self._agenda, now_ns)
        if self._urgent:
            trigger = Reason.BIRTH if self.whole else self._campaign
            batch, self._urgent = self._urgent[:VISITS_A_JOB], self._urgent[VISITS_A_JOB:]
            self._visit(policy, batch, memory, trigger, routine=not self.whole)
        elif look is not None and not (self._rest and self._can_wait(look)):
            self._begin(look, now_ns)
        elif self._rest:
            batch, self._rest = self._rest[:VISITS_A_JOB], self._rest[VISITS_A_JOB:]
            self._visit(policy, batch, memory, self._campaign, routine=True)

    def _can_wait(self, look: Look) -> bool:
        """Whether a look may wait until the rest of the sweep before it has been visited.

        After a load what is known to be there is set before anything hidden is searched for.
        """
        return look is Look.SWEEP or (look is Look.DEEP and not self.whole)

    def collect(self, memory: Memory) -> Optional[Collected]:
        """Take the end of a job; return what it came to, None when there was none.

        Raises whatever a defect of the guard has raised in the visitor's thread.
        """
        done = self._visitor.take()
        if done is None:
            return None
        if done.error is not None:
            self._abort_look()
            self._job = None
            raise done.error
        if isinstance(done.result, Looked):
            if self._look is not None:  # else it was begun before pause()
                self._note(done.result)
            return Collected(alive=set(self._there))
        if self._job is not None and self._job.routine:
            self._sweep_cpu_ns += self._job.cpu_ns
        self._job = None
        for seen in done.result:
            identity = seen.namespace.identity
            self._settled.add(identity)
            known = memory.spaces.get(identity)
            gone = any(key.state is State.GONE for key in seen.keys)
            another = known is None or spaces.is_another(known, seen.cookie)
            self._new += int(another and not gone)
            self._fresh.discard(identity)
            if seen.again_ns is not None:
                self._again[identity] = seen.again_ns
            if seen.estimators is not None:
                self._estimators[identity] = seen.estimators
        return Collected(tuple(done.result), self._since_ns)

    def give_up_what_hangs(self) -> str:
        """Return what has hung for too long and was given up, empty if nothing has.

        After collect(): what has ended does not hang, however late the loop comes to see it.
        """
        limit_ns = self.deadline_ns()
        if not self._visitor.busy or limit_ns is None or monotonic_ns() < limit_ns:
            return ""
        if self._job is not None and self._job.at == len(self._job.targets):
            return ""  # it ends just now
        self._visitor.replace()
        if self._job is None:
            self._finder = Finder(self._root, wary=True)
            self._abort_look()
            return "looking for namespaces"
        target, left = self._job.targets[self._job.at], self._job.targets[self._job.at + 1 :]
        self._job = None
        self._hung.add(target.namespace.identity)
        self._urgent = [one.namespace.identity for one in left] + self._urgent
        return f"entering {target.namespace} through {target.paths[0]}"

    def close(self) -> None:
        """End the visitor."""
        self._visitor.close()

    def _begin(self, look: Look, now_ns: int) -> None:
        before_ns = self._deep_ns if look is Look.DEEP else self._look_ns
        self._since_ns = before_ns - agenda.VISIBLE_NS if before_ns is not None else None
        if look is Look.DEEP:
            self._deep_ns = now_ns
        self._look, self._look_ns, self._job_ns, self._new = look, now_ns, now_ns, 0
        self._born_ns = agenda.earliest_birth(self._agenda, look, before_ns)
        self._agenda = agenda.begun(self._agenda, look, now_ns)
        self._owed.discard(look)
        finder, there = self._finder, self._there

        def find() -> Looked:
            began_ns = monotonic_ns()
            found = finder.look(deep=look is Look.DEEP)
            took_ns = monotonic_ns() - began_ns
            known = {one: there[one][0] for one in set(there) - found.fresh}
            places = {
                identity: (known.get(identity) or finder.describe(identity, held), ways_in(held))
                for identity, held in found.holders.items()
            }
            return Looked(places, found.fresh, took_ns)

        self._visitor.submit(find)

    def _abort_look(self) -> None:
        if self._look is not None and self._job is None:
            self._agenda = agenda.failed(self._agenda, self._look, monotonic_ns())
            self._look = None

    def _note(self, looked: Looked) -> None:
        """Take over what a look has found, and line up what is to be visited."""
        self._took_ns = looked.took_ns
        self._there, fresh = looked.there, looked.fresh
        self._hung &= set(self._there)
        self._fresh = (self._fresh & set(self._there)) | fresh
        self._again = {one: due_ns for one, due_ns in self._again.items() if one in self._there}
        self._estimators = {one: n for one, n in self._estimators.items() if one in self._there}
        if self._look is not Look.SWEEP:
            self._urgent += fresh
        elif self._campaign is Reason.LOAD:
            # Not again what was known and has been visited.
            self._rest = self._worst_first(set(self._there) - (self._settled - fresh))
        else:
            self._urgent += fresh
            self._rest = self._worst_first(set(self._there) - fresh)

    def _worst_first(self, namespaces: Iterable[Identity]) -> List[Identity]:
        return sorted(namespaces, key=lambda one: -self._estimators.get(one, 0))

    def _visit(
        self,
        policy: Policy,
        batch: List[Identity],
        memory: Memory,
        trigger: Reason,
        routine: bool,
    ) -> None:
        self._job_ns = monotonic_ns()
        targets = tuple(
            self._target(identity, memory, trigger)
            for identity in dict.fromkeys(batch)
            if identity in self._there and identity not in self._hung
        )
        job = self._job = Visits(targets, routine)
        guard = self._guard
        self._visitor.submit(lambda: job.make(guard, policy))

    def _target(self, identity: Identity, memory: Memory, trigger: Reason) -> Target:
        namespace, paths = self._there[identity]
        known = memory.spaces.get(identity)
        if identity in self._fresh and known is not None and known.cookie is None:
            known = None  # it has a new holder, and nothing proves that it is not another one
        reason = spaces.reason_for(known, trigger, memory.loaded_ns)
        told = {Reason.BIRTH: self._born_ns, Reason.LOAD: self._campaign_told_ns}
        return Target(namespace, reason, known, paths, told.get(reason))


def is_canary(seen: Seen) -> bool:
    """Whether this is the guard's own throw-away namespace, and not one that is called so."""
    namespace = seen.namespace
    return namespace.name == CANARY_NAME and namespace.owner.pid == os.getpid()
