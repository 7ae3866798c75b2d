"""Finds the namespaces other than the host's, and visits them, on the worker's thread.

The loop hands the worker one small job at a time and goes on. Between two jobs it decides anew what
comes next, so that a new namespace never waits for a full scan of thousands to end.
"""

import time
from typing import List, NamedTuple, Optional, Set, Tuple

from ipvsd.daemon.scan_progress import ScanProgress
from ipvsd.daemon.scan_schedule import Scan
from ipvsd.daemon.visit_queue import Discovered, Places, VisitQueue, Visits
from ipvsd.enforce import decide, namespace_state
from ipvsd.enforce.enforcer import Enforcer, Target
from ipvsd.enforce.memory import Memory
from ipvsd.kernel.netns_discovery import NamespaceFinder, ways_in
from ipvsd.kernel.netns_worker import NamespaceWorker
from ipvsd.model import NS_PER_S, Identity, NamespaceResult, Policy, Reason, State
from ipvsd.system.event_loop import monotonic_ns

# A job that takes longer hangs, in a foreign file system on the way to a namespace. All jobs have
# to be over, once for each path, before the unit's TimeoutStartSec= is.
VISITS_LIMIT_NS = 10 * NS_PER_S
SCAN_LIMIT_NS = 30 * NS_PER_S


class Collected(NamedTuple):
    """The result of a job: of visits, or of a scan."""

    results: Tuple[NamespaceResult, ...] = ()
    # When the scan before began: what was unknown did not exist then, what is gone still did.
    since_ns: Optional[int] = None
    alive: Optional[Set[Identity]] = None  # after a scan: all namespaces that exist


class Rescan:
    """A demand to check every namespace; DRIFT stands for the routine, without a demand."""

    def __init__(self, reason: Reason = Reason.DRIFT, event_ns: Optional[int] = None) -> None:
        self.reason = reason
        self.event_ns = event_ns
        self.visited: Set[Identity] = set()
        self.cpu_ns = 0  # of the visits, and of describing what is visited
        # The scans that have to begin before the demand is met.
        routine = reason is Reason.DRIFT
        self.pending_scans: Set[Scan] = set() if routine else {Scan.FULL, Scan.DEEP}

    @property
    def scans_that_wait(self) -> Set[Scan]:
        """The scans that wait until the rest of the full scan before has been visited.

        After a load, known namespaces are set before hidden ones are searched for.
        """
        return {Scan.FULL} if self.reason is Reason.DRIFT else {Scan.FULL, Scan.DEEP}


class NamespaceScanner:
    """Scans for namespaces and visits them, when its schedule says so."""

    def __init__(self, enforcer: Enforcer, root: str) -> None:
        """Start no thread yet. Raises OSError."""
        self._enforcer = enforcer
        self._root = root
        self._finder = NamespaceFinder(root)
        self._worker = NamespaceWorker()
        self._progress = ScanProgress()
        self.visits = VisitQueue()  # the reporter reads what it has counted
        self.scans_given_up = 0
        self._rescan = Rescan()
        self._job: Optional[Visits] = None  # None during a scan
        self._job_began_ns = 0

    def fileno(self) -> int:
        """Return the descriptor that is readable when a job has ended."""
        return self._worker.fileno()

    @property
    def scan_complete(self) -> bool:
        """Whether every namespace has been checked since rescan_all() was called."""
        return self._rescan.reason is Reason.DRIFT

    @property
    def idle(self) -> bool:
        """Whether no job runs and no visit waits."""
        scanning = self._progress.scanning is not None
        return not (self._worker.busy or self.visits.waiting or scanning)

    @property
    def visiting(self) -> bool:
        """Whether namespaces are being visited, or wait for that."""
        return bool(self._job or self.visits.waiting)

    def rescan_all(self, reason: Reason, event_ns: Optional[int]) -> None:
        """Check every namespace now; `event_ns` is when the event came that demands it.

        After a load the namespaces that are known come first: no scan has to find them.
        """
        self._rescan = Rescan(reason, event_ns)
        self.visits.restart(with_known=reason is Reason.LOAD)
        self._progress.rescan_all(monotonic_ns())

    def expect_births(self, births: int = 0, born_ns: Optional[int] = None) -> None:
        """Scan for new namespaces soon: so many births were reported, the first at this moment."""
        self._progress.expect_births(monotonic_ns(), births, born_ns)

    def pause(self) -> None:
        """Scan for nothing until rescan_all() is called: ip_vs is not loaded."""
        self._rescan = Rescan()
        self._progress.pause()
        self.visits.clear()

    def deadline_ns(self) -> Optional[int]:
        """Return when to call proceed() if nothing happens, None for never."""
        if self._worker.busy:
            return self._job_began_ns + (SCAN_LIMIT_NS if self._job is None else VISITS_LIMIT_NS)
        if not self.idle:
            return 0
        moments = (self._progress.next_ns(monotonic_ns()), self.visits.retry_at_ns)
        return min((at_ns for at_ns in moments if at_ns is not None), default=None)

    def proceed(self, policy: Policy, memory: Memory, births_reported: bool) -> None:
        """Give the worker its next job if it has none; `births_reported` as in ScanReport."""
        if self._worker.busy:
            return
        now_ns, queue, progress = monotonic_ns(), self.visits, self._progress
        queue.add_due_retries(now_ns)
        progress.note_reports(births_reported, policy.resync_ns, now_ns)
        if not queue.has_urgent:
            progress.end(policy.resync_ns, now_ns)
        if not queue.waiting:
            self._end_rescan(now_ns)
        scan = progress.due(now_ns)
        if queue.has_urgent:
            reason = Reason.BIRTH if self.scan_complete else self._rescan.reason
            self._visit(policy, memory, queue.take(urgent=True), reason, not self.scan_complete)
        elif scan is not None and not (queue.has_rest and scan in self._rescan.scans_that_wait):
            progress.begin(scan, now_ns)
            self._rescan.pending_scans.discard(scan)
            self._job_began_ns = now_ns
            finder, known = self._finder, queue.places
            self._worker.submit(lambda: _find(finder, scan, known))
        elif queue.has_rest:
            batch = queue.take(urgent=False)
            self._visit(policy, memory, batch, self._rescan.reason, routine=True)

    def collect(self, memory: Memory) -> Optional[Collected]:
        """Return the result of the job that has ended, None if none has.

        Raises the exception that a defect of the guard has raised on the worker's thread.
        """
        done, progress = self._worker.take(), self._progress
        if done is None:
            return None
        job, self._job = self._job, None
        since_ns = progress.last.since_ns if progress.last is not None else None
        if done.error is not None:
            if job is None:
                progress.abort(monotonic_ns())
            raise done.error
        if isinstance(done.result, Discovered):
            if progress.scanning is not None:  # else the scan began before pause()
                full, load = progress.scanning is Scan.FULL, self._rescan.reason is Reason.LOAD
                self._rescan.cpu_ns += done.result.described_cpu_ns if full else 0
                progress.took_ns = done.result.took_ns
                self.visits.add_found(done.result, full, self._rescan.visited if load else None)
            return Collected(since_ns=since_ns, alive=set(self.visits.places))
        if job is not None and job.routine:
            self._rescan.cpu_ns += job.cpu_ns
        for result in done.result:
            identity = result.namespace.identity
            self._rescan.visited.add(identity)
            known = memory.namespaces.get(identity)
            gone = any(key.state is State.GONE for key in result.keys)
            is_new = known is None or namespace_state.is_another(known, result.cookie)
            progress.new += int(is_new and not gone)
            self.visits.note_visit(result)
        return Collected(tuple(done.result), since_ns)

    def give_up_what_hangs(self) -> str:
        """Return what took too long and was given up, empty if nothing did.

        Call it after collect(): a job that has ended does not hang, however late that is noticed.
        """
        limit_ns, now_ns = self.deadline_ns(), monotonic_ns()
        if not self._worker.busy or limit_ns is None or now_ns < limit_ns:
            return ""
        if self._job is not None and self._job.over:
            return ""  # its end arrives just now
        self._worker.replace()
        job, self._job = self._job, None
        if job is None:
            self._finder = NamespaceFinder(self._root, wary=True)
            self._progress.abort(now_ns)
            self.scans_given_up += 1
            return "scanning for namespaces"
        hung = job.targets[job.at]
        self.visits.put_aside(hung, job.targets[job.at + 1 :])
        return f"entering {hung.namespace} through {hung.paths[0]}"

    def close(self) -> None:
        """End the worker's thread."""
        self._worker.close()

    def _end_rescan(self, now_ns: int) -> None:
        """End the full scan, and the demand to rescan, unless they have scans left to begin."""
        pending = self._rescan.pending_scans
        if Scan.FULL not in pending:
            cpu_ns, self._rescan.cpu_ns = self._rescan.cpu_ns, 0
            self._progress.note_full_scan_visited(cpu_ns, now_ns)
        if not pending:
            self._rescan.reason = Reason.DRIFT

    def _visit(
        self, policy: Policy, memory: Memory, batch: List[Identity], trigger: Reason, routine: bool
    ) -> None:
        born_ns = self._progress.born_ns
        event_ns = {Reason.BIRTH: born_ns, Reason.LOAD: self._rescan.event_ns}
        targets = []
        for identity in batch:
            namespace, paths = self.visits.places[identity]
            known = memory.namespaces.get(identity)
            maybe_new = self._progress.births_expected and self.visits.may_be_new(identity)
            if known is not None and known.cookie is None and maybe_new:
                known = None  # it has a new holder, and nothing proves that it is the same one
            reason = decide.why_different(trigger, known, memory.reloaded_since(known))
            target = Target(namespace, reason, known, paths, event_ns.get(reason), born_ns)
            targets.append(target._replace(with_counters=bool(policy.textfile)))
        job = self._job = Visits(tuple(targets), routine)
        self._job_began_ns, enforcer = monotonic_ns(), self._enforcer
        self._worker.submit(lambda: job.make(enforcer, policy))


def _find(finder: NamespaceFinder, scan: Scan, known: Places) -> Discovered:
    """Scan, on the worker's thread, and describe the namespaces that may be new, or all."""
    began_ns = monotonic_ns()
    found = finder.scan(deep=scan is Scan.DEEP)
    took_ns = monotonic_ns() - began_ns
    # A member may have moved to another control group: a full scan describes everything anew.
    same = set() if scan is Scan.FULL else set(known) - found.maybe_new
    old = {one: known[one][0] for one in same}
    described_s = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
    places = {
        identity: (old.get(identity) or finder.describe(identity, held), ways_in(held))
        for identity, held in found.holders.items()
    }
    described_s = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - described_s
    return Discovered(places, found.maybe_new, took_ns, int(described_s * 1e9))
