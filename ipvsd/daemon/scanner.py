"""The namespaces other than the host's: found, and visited in turn, by the visitor's thread.

The loop hands the visitor one small job at a time and goes on; between two jobs it decides anew
what comes next, so that a new namespace never waits for a sweep of thousands to end.
"""

import os
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from ipvsd.daemon import scan_schedule
from ipvsd.daemon.scan_schedule import Scan, ScanSchedule
from ipvsd.enforce import namespace_state
from ipvsd.enforce.enforcer import Enforcer, Target
from ipvsd.enforce.memory import Memory
from ipvsd.kernel.netns_discovery import NamespaceFinder, ways_in
from ipvsd.kernel.netns_worker import NamespaceWorker
from ipvsd.model import (
    CANARY_NAME,
    NS_PER_S,
    Identity,
    Namespace,
    NamespaceResult,
    Policy,
    Reason,
    State,
)
from ipvsd.system.event_loop import monotonic_ns

# Small enough that what is urgent soon has its turn, large enough that handing over costs little.
VISITS_A_JOB = 64
# What takes longer hangs, in somebody else's file system on the way to a namespace. All of it has
# to be over, once for each way, before the unit's TimeoutStartSec= is.
VISITS_LIMIT_NS = 10 * NS_PER_S
SCAN_LIMIT_NS = 30 * NS_PER_S


Places = Dict[Identity, Tuple[Namespace, Tuple[str, ...]]]  # each with the ways into it


class ScanResult(NamedTuple):
    """What a look for namespaces came to."""

    there: Places
    fresh: Set[Identity]  # may be others than those known
    took_ns: int  # without describing those, which the next look need not do again


class Collected(NamedTuple):
    """What a job came to: visits, or a look for namespaces."""

    seen: Tuple[NamespaceResult, ...] = ()
    since_ns: Optional[int] = None  # what was not known before has not been there before
    alive: Optional[Set[Identity]] = None  # after a look: all that there are


class Visits:
    """The visits of one job, and how far the visitor has come with them."""

    def __init__(self, targets: Tuple[Target, ...], routine: bool) -> None:
        self.targets = targets
        self.routine = routine  # of a sweep, not because of news
        self.at = 0
        self.cpu_ns = 0

    def make(self, guard: Enforcer, policy: Policy) -> List[NamespaceResult]:
        """Make them, one after the other: the job itself."""
        seen = []
        began_s = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
        for target in self.targets:
            seen.append(guard.visit(policy, target))
            self.at += 1
        self.cpu_ns = int((time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - began_s) * 1e9)
        return seen


class NamespaceScanner:
    """Looks for namespaces and into them, as its agenda says."""

    def __init__(self, guard: Enforcer, root: str) -> None:
        """Start the visitor. Raises OSError."""
        self._guard = guard
        self._root = root
        self._finder = NamespaceFinder(root)
        self._worker = NamespaceWorker()
        self._schedule = ScanSchedule()
        self._there: Places = {}
        # Waiting to be visited, in this order.
        self._urgent: List[Identity] = []
        self._rest: List[Identity] = []
        self._fresh: Set[Identity] = set()  # may be others than those known, until visited
        self._retry_at: Dict[Identity, int] = {}
        self._hung: Set[Identity] = set()
        # How many each had when last visited, be it under another load of ip_vs.
        self._estimators: Dict[Identity, int] = {}
        # Why everything is looked at anew, until that has been done; DRIFT when it is routine.
        self._rescan_reason = Reason.DRIFT
        self._rescan_event_ns: Optional[int] = None
        self._visited: Set[Identity] = set()  # visited since that began
        self._pending_scans: Set[Scan] = set()  # what has to begin before it is over
        self._full_scan_cpu_ns = 0
        self._scan: Optional[Scan] = None
        self._scan_began_ns: Optional[int] = None  # when the last one began
        self._deep_ns: Optional[int] = None  # when the last deep one did
        self._took_ns = 0
        self._since_ns: Optional[int] = None
        self._born_ns: Optional[int] = None
        self._new = 0
        self._job: Optional[Visits] = None  # None during a look
        self._job_ns = 0

    def fileno(self) -> int:
        """Return the descriptor that is readable when a job is done."""
        return self._worker.fileno()

    @property
    def scan_complete(self) -> bool:
        """Whether all that was to be looked at anew has been."""
        return self._rescan_reason is Reason.DRIFT

    @property
    def idle(self) -> bool:
        """Whether nothing is being done just now."""
        return not (self._worker.busy or self._urgent or self._rest or self._scan is not None)

    @property
    def visiting(self) -> bool:
        """Whether namespaces are being visited, or are about to be."""
        return bool(self._job or self._urgent or self._rest)

    def rescan_all(self, reason: Reason, event_ns: Optional[int]) -> None:
        """Look into every namespace now; `told_ns` is when the reason was told, if it was.

        After a load those that are known come first: they need not be looked for.
        """
        self._rescan_reason, self._rescan_event_ns = reason, event_ns
        self._visited, self._pending_scans = set(), {Scan.FULL, Scan.DEEP}
        self._full_scan_cpu_ns = 0
        self._rest = self._worst_first(self._there) if reason is Reason.LOAD else []
        self._schedule = scan_schedule.rescan_all(self._schedule, monotonic_ns())

    def expect_births(self, births: int = 0, born_ns: Optional[int] = None) -> None:
        """Look for new namespaces soon: so many births were told, the first at this moment."""
        self._schedule = scan_schedule.birth_expected(
            self._schedule, monotonic_ns(), births, born_ns
        )

    def pause(self) -> None:
        """Look for nothing until all_anew(): ip_vs is not loaded."""
        self._schedule, self._rescan_reason, self._scan = ScanSchedule(), Reason.DRIFT, None
        self._urgent, self._rest, self._retry_at, self._pending_scans = [], [], {}, set()

    def deadline_ns(self) -> Optional[int]:
        """Return when to call proceed() though nothing has happened, None for not at all."""
        if self._worker.busy:
            return self._job_ns + (SCAN_LIMIT_NS if self._job is None else VISITS_LIMIT_NS)
        if not self.idle:
            return 0
        _, scan_ns = scan_schedule.next_scan(self._schedule, monotonic_ns())
        moments = [scan_ns] if scan_ns is not None else []
        return min([*moments, *self._retry_at.values()], default=None)

    def proceed(self, policy: Policy, memory: Memory, told: bool) -> None:
        """Give the visitor its next job, if it has none; `told` as in agenda.Done."""
        if self._worker.busy:
            return
        now_ns = monotonic_ns()
        due = [identity for identity, moment_ns in self._retry_at.items() if moment_ns <= now_ns]
        for identity in due:
            del self._retry_at[identity]
        self._urgent += due
        if self._scan is not None and not self._urgent:
            done = scan_schedule.ScanReport(
                self._scan, self._new, self._took_ns, policy.resync_ns, told
            )
            self._schedule = scan_schedule.scan_ended(self._schedule, done, now_ns)
            self._scan = None
        if not (self._urgent or self._rest or Scan.FULL in self._pending_scans):
            self._schedule = scan_schedule.full_scan_visited(
                self._schedule, self._full_scan_cpu_ns, now_ns
            )
            self._full_scan_cpu_ns = 0
        if not (self._urgent or self._rest or self._pending_scans):
            self._rescan_reason = Reason.DRIFT
        scan, _ = scan_schedule.next_scan(self._schedule, now_ns)
        if self._urgent:
            trigger = Reason.BIRTH if self.scan_complete else self._rescan_reason
            batch, self._urgent = self._urgent[:VISITS_A_JOB], self._urgent[VISITS_A_JOB:]
            self._visit(policy, batch, memory, trigger, routine=not self.scan_complete)
        elif scan is not None and not (self._rest and self._can_wait(scan)):
            self._begin(scan, now_ns)
        elif self._rest:
            batch, self._rest = self._rest[:VISITS_A_JOB], self._rest[VISITS_A_JOB:]
            self._visit(policy, batch, memory, self._rescan_reason, routine=True)

    def _can_wait(self, scan: Scan) -> bool:
        """Whether a look may wait until the rest of the sweep before it has been visited.

        After a load what is known to be there is set before anything hidden is searched for.
        """
        return scan is Scan.FULL or (scan is Scan.DEEP and not self.scan_complete)

    def collect(self, memory: Memory) -> Optional[Collected]:
        """Take the end of a job; return what it came to, None when there was none.

        Raises whatever a defect of the guard has raised in the visitor's thread.
        """
        done = self._worker.take()
        if done is None:
            return None
        if done.error is not None:
            self._abort_scan()
            self._job = None
            raise done.error
        if isinstance(done.result, ScanResult):
            if self._scan is not None:  # else it was begun before pause()
                self._note(done.result)
            return Collected(alive=set(self._there))
        if self._job is not None and self._job.routine:
            self._full_scan_cpu_ns += self._job.cpu_ns
        self._job = None
        for seen in done.result:
            identity = seen.namespace.identity
            self._visited.add(identity)
            known = memory.namespaces.get(identity)
            gone = any(key.state is State.GONE for key in seen.keys)
            another = known is None or namespace_state.is_another(known, seen.cookie)
            self._new += int(another and not gone)
            self._fresh.discard(identity)
            if seen.retry_at_ns is not None:
                self._retry_at[identity] = seen.retry_at_ns
            if seen.estimators is not None:
                self._estimators[identity] = seen.estimators
        return Collected(tuple(done.result), self._since_ns)

    def give_up_what_hangs(self) -> str:
        """Return what has hung for too long and was given up, empty if nothing has.

        After collect(): what has ended does not hang, however late the loop comes to see it.
        """
        limit_ns = self.deadline_ns()
        if not self._worker.busy or limit_ns is None or monotonic_ns() < limit_ns:
            return ""
        if self._job is not None and self._job.at == len(self._job.targets):
            return ""  # it ends just now
        self._worker.replace()
        if self._job is None:
            self._finder = NamespaceFinder(self._root, wary=True)
            self._abort_scan()
            return "looking for namespaces"
        target, left = self._job.targets[self._job.at], self._job.targets[self._job.at + 1 :]
        self._job = None
        self._hung.add(target.namespace.identity)
        self._urgent = [one.namespace.identity for one in left] + self._urgent
        return f"entering {target.namespace} through {target.paths[0]}"

    def close(self) -> None:
        """End the visitor."""
        self._worker.close()

    def _begin(self, scan: Scan, now_ns: int) -> None:
        before_ns = self._deep_ns if scan is Scan.DEEP else self._scan_began_ns
        self._since_ns = before_ns - scan_schedule.VISIBLE_NS if before_ns is not None else None
        if scan is Scan.DEEP:
            self._deep_ns = now_ns
        self._scan, self._scan_began_ns, self._job_ns, self._new = scan, now_ns, now_ns, 0
        self._born_ns = scan_schedule.earliest_birth(self._schedule, scan, before_ns)
        self._schedule = scan_schedule.scan_begun(self._schedule, scan, now_ns)
        self._pending_scans.discard(scan)
        finder, there = self._finder, self._there

        def find() -> ScanResult:
            began_ns = monotonic_ns()
            found = finder.scan(deep=scan is Scan.DEEP)
            took_ns = monotonic_ns() - began_ns
            known = {one: there[one][0] for one in set(there) - found.fresh}
            places = {
                identity: (known.get(identity) or finder.describe(identity, held), ways_in(held))
                for identity, held in found.holders.items()
            }
            return ScanResult(places, found.fresh, took_ns)

        self._worker.submit(find)

    def _abort_scan(self) -> None:
        if self._scan is not None and self._job is None:
            self._schedule = scan_schedule.scan_failed(self._schedule, self._scan, monotonic_ns())
            self._scan = None

    def _note(self, scan_ended: ScanResult) -> None:
        """Take over what a look has found, and line up what is to be visited."""
        self._took_ns = scan_ended.took_ns
        self._there, fresh = scan_ended.there, scan_ended.fresh
        self._hung &= set(self._there)
        self._fresh = (self._fresh & set(self._there)) | fresh
        self._retry_at = {
            one: due_ns for one, due_ns in self._retry_at.items() if one in self._there
        }
        self._estimators = {one: n for one, n in self._estimators.items() if one in self._there}
        if self._scan is not Scan.FULL:
            self._urgent += fresh
        elif self._rescan_reason is Reason.LOAD:
            # Not again what was known and has been visited.
            self._rest = self._worst_first(set(self._there) - (self._visited - fresh))
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
        self._worker.submit(lambda: job.make(guard, policy))

    def _target(self, identity: Identity, memory: Memory, trigger: Reason) -> Target:
        namespace, paths = self._there[identity]
        known = memory.namespaces.get(identity)
        if identity in self._fresh and known is not None and known.cookie is None:
            known = None  # it has a new holder, and nothing proves that it is not another one
        reason = namespace_state.reason_for(known, trigger, memory.loaded_ns)
        told = {Reason.BIRTH: self._born_ns, Reason.LOAD: self._rescan_event_ns}
        return Target(namespace, reason, known, paths, told.get(reason))


def is_canary(seen: NamespaceResult) -> bool:
    """Whether this is the guard's own throw-away namespace, and not one that is called so."""
    namespace = seen.namespace
    return namespace.name == CANARY_NAME and namespace.owner.pid == os.getpid()
