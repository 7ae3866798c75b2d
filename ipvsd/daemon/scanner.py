"""Finds the namespaces other than the host's, and visits them, in the worker process.

The loop hands the worker one small job at a time and goes on. Between two jobs it decides anew what
comes next, so that a new namespace waits neither for a full scan nor for a search. Results are kept
until all that is urgent has been written: recording them takes as much time as writing.
"""

from typing import List, Optional, Union

from ipvsd.daemon import scan_schedule, targets, visit_queue
from ipvsd.daemon.early_visits import EarlyVisits
from ipvsd.daemon.hang_watch import Verdict
from ipvsd.daemon.kept_results import Collected, KeptResults
from ipvsd.daemon.namespace_jobs import Look, Scan, Search, Visit
from ipvsd.daemon.namespace_worker import NamespaceWorker
from ipvsd.daemon.rescan import Part, Rescan
from ipvsd.daemon.scan_schedule import ScanSchedule
from ipvsd.daemon.visit_queue import VisitQueue
from ipvsd.enforce import packed
from ipvsd.enforce.enforcer import Enforcer, Target
from ipvsd.enforce.memory import Memory
from ipvsd.model import NS_PER_S, Identity, Policy, Reason
from ipvsd.system import processes
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.worker import Done

# Nothing can be changed in foreign namespaces, and most of a storm are gone when they are visited.
FOREIGN_NS = 2 * NS_PER_S

# A load or a sample changes every value at once.
_KNOWN_FIRST = (Reason.LOAD, Reason.SAMPLE)


class NamespaceScanner:
    """Scans for namespaces and visits them, when its schedule says so."""

    def __init__(self, enforcer: Enforcer, root: str) -> None:
        """Fork nothing yet. Raises OSError."""
        self._root = root
        self.schedule = ScanSchedule()
        self.visits = VisitQueue()
        self.early = EarlyVisits(enforcer.host.device)
        self.worker = NamespaceWorker(enforcer, root)
        self.scans_given_up = 0
        self.procfs = ""  # why visits use the shared procfs, empty if they do not
        self.large: List[int] = []  # processes too large for one search, until somebody takes them
        self._rescan = Rescan()
        self._job: Union[Look, Scan, Search, Visit, None] = None
        self._batch: List[Target] = []  # of a visit
        self._kept = KeptResults()
        self._ended_at: Optional[Identity] = None  # the visit in which the last process ended
        self._again_ns = 0  # no job before, since one could not be begun or its process has ended
        self.foreign_ns = 0  # when foreign namespaces may be visited again, if they are few

    @property
    def scan_complete(self) -> bool:
        """Whether every namespace has been checked since rescan_all() was called."""
        return self._rescan.reason is Reason.DRIFT

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be visited or recorded, and no scan is under way."""
        busy = self.worker.busy and not isinstance(self._job, Search)
        return not (busy or self.visits.waiting or self._kept)

    @property
    def visiting(self) -> bool:
        """Whether namespaces are being visited, or wait for that."""
        return isinstance(self._job, Visit) or self.visits.waiting

    def rescan_all(
        self, reason: Reason, event_ns: Optional[int], instance: Optional[int] = None
    ) -> None:
        """Check every namespace now; `event_ns` is when the event came that demands it.

        After a load, or for a sample, those that are known come first: no scan has to find them.
        Those are left out that were set during the load of this instance.
        """
        set_early = self.early.end(instance)
        self._rescan = Rescan(reason, event_ns)
        self.worker.dare()
        self.schedule.rescan_all(monotonic_ns())
        if reason in _KNOWN_FIRST:
            self.visits.restart(with_aside=reason is Reason.LOAD)
            self.visits.leave_out(set_early)

    def pause(self) -> None:
        """Scan for nothing until rescan_all() is called: ip_vs is not loaded."""
        self.early.end(None)
        self._rescan = Rescan()
        self.schedule.pause()
        self.visits.clear()

    def deadline_ns(self) -> Optional[int]:
        """Return when to call collect() and proceed() if nothing happens, None for never."""
        if self._kept and not self._holds_back:
            return 0
        if self.worker.busy:
            return self.worker.next_look_ns
        if monotonic_ns() < self._again_ns:
            return self._again_ns
        if self.early.loading:
            return self.early.next_ns()
        ends = self._rescan.ends and not self.schedule.hidden_found
        if self.visits.waiting or self._rescan.hurries or ends:
            return 0
        now_ns = monotonic_ns()
        moments = [scan_schedule.next_ns(self.schedule, now_ns), self.visits.retry_at_ns()]
        if self.visits.foreign:
            moments.append(_foreign_due_ns(self, now_ns))
        return min((at_ns for at_ns in moments if at_ns is not None), default=None)

    def proceed(self, policy: Policy, memory: Memory, births_reported: bool) -> None:
        """Give the worker its next job if it has none; `births_reported` as in ScanSchedule."""
        if self.worker.busy or monotonic_ns() < self._again_ns:
            return
        now_ns, schedule, queue = monotonic_ns(), self.schedule, self.visits
        if self.early.loading:
            _proceed_early(self, policy, memory, now_ns)
            return
        queue.add_due_retries(now_ns)
        newest = None if births_reported else processes.newest_pid(self._root)
        schedule.note_reports(births_reported, policy.resync_ns, now_ns, newest)
        if not queue.waiting:
            if schedule.full:
                schedule.end_full_scan(policy.resync_ns, now_ns)
            if self._rescan.ends and not (schedule.hidden_found or self._kept):
                self._rescan = Rescan()
        # A routine full scan begins no sooner than the demand before has been met.
        may_begin = self.scan_complete or Part.SCAN in self._rescan.pending
        full = _is_due(schedule.full_ns, now_ns) and may_begin and not queue.rest
        if not queue.urgent and _is_due(schedule.looks.next_ns(now_ns), now_ns) and schedule.last:
            tasks = scan_schedule.begin_look(schedule, now_ns)
            self._begin(Look(self.worker.is_wary, tasks), policy)
        elif not queue.urgent and (full or _is_due(schedule.scan_ns(now_ns), now_ns)):
            schedule.begin_scan(full, now_ns)
            if full:
                self._rescan.pending.discard(Part.SCAN)
            self._begin(Scan(self.worker.is_wary, full), policy)
        elif queue.waiting or (queue.foreign and _foreign_due_ns(self, now_ns) <= now_ns):
            self._visit(policy, memory)
        elif self._rescan.hurries or _is_due(schedule.next_search_ns(now_ns), now_ns):
            anew = not schedule.searching
            if anew:
                schedule.begin_search(now_ns)
            self._begin(Search(self.worker.is_wary, anew), policy)

    def collect(self, policy: Policy) -> Optional[Collected]:
        """Take over the end of a job; return what is to be recorded now, None if nothing is.

        Raises RuntimeError for a defect of the guard in the worker.
        """
        done = self.worker.take()
        if done is not None:
            self._take_over(done, policy)
        if not self._kept or self._holds_back:
            return None
        collected = self._kept.take()
        for result in collected.results:
            self.visits.note_result(result)
        return collected

    def give_up_what_hangs(self) -> str:
        """Return what took too long and was given up, empty if nothing did.

        Call it after collect(): a job that has ended does not hang, however late that is noticed.
        """
        verdict = self.worker.look()
        return "" if verdict is Verdict.WAIT else self._abort(verdict is Verdict.HANGS)

    @property
    def _holds_back(self) -> bool:
        """Whether results wait until what is urgent has been written."""
        if self.early.loading:
            return self.early.next_ns() is not None and not self._kept.too_many
        urgent = self.visits.urgent or (self.visiting and not self.scan_complete)
        return bool(urgent) and not self._kept.too_many

    def _begin(self, job: Union[Look, Scan, Search, Visit], policy: Policy) -> None:
        self._job = job
        hung_before = any(one.namespace.identity in self.visits.aside for one in self._batch)
        suspect = isinstance(job, Visit) and hung_before
        try:
            self.worker.submit(job, policy, self.visits.places, suspect)
        except OSError:  # there is no room for another process
            self._abort(hangs=False)
            raise

    def _visit(self, policy: Policy, memory: Memory) -> None:
        queue, rescan = self.visits, self._rescan
        urgent, foreign = bool(queue.urgent), not queue.waiting
        if self.early.loading:
            loaded_into = self.early.take(queue.places, visit_queue.VISITS_A_JOB)
            self._batch = targets.of_load(loaded_into, queue, memory, self.worker.is_wary)
            describe = foreign = False
        else:
            if urgent and self.scan_complete:
                rescan = Rescan(Reason.BIRTH)
            due, counted = queue.take(self.worker.is_wary), bool(policy.textfile)
            batch = targets.in_turn(due, queue, self.schedule, memory, rescan, counted)
            self._batch = targets.with_times(batch, self.early.times)
            describe = not (urgent or foreign) and self._rescan.reason is not Reason.LOAD
        if foreign and self._batch:
            self.foreign_ns = monotonic_ns() + FOREIGN_NS
        if self._batch:
            self._begin(Visit(packed.pack_targets(self._batch), describe, foreign), policy)

    def _take_over(self, done: Done, policy: Policy) -> None:
        if done.error:
            self._abort(hangs=False)
            raise RuntimeError(done.error)
        job, self._job = self._job, None
        schedule, result, now_ns = self.schedule, done.result, monotonic_ns()
        since_ns = schedule.last.since_ns if schedule.last is not None else None
        if isinstance(job, Look):
            new = [one for one in result.maybe_new if one not in self.visits.places]
            scan_schedule.end_look(schedule, new, result.cpu_ns, now_ns)
            if schedule.full_ns is not None:  # else it began before pause()
                self.visits.add_found(result)
        elif isinstance(job, Scan):
            new = [one for one in result.maybe_new if one not in self.visits.places]
            # Before a load nobody looks, and what the load has reached is reported as no birth.
            of_load = self.early.loading or self._rescan.reason is Reason.LOAD
            new = [] if self.early.times and of_load else new
            schedule.end_scan(job.full, new, result.cpu_ns, now_ns)
            self.visits.add_found(result)
            self.worker.trust(job.wary)
            if result.gone:
                self._kept.add_gone(policy, since_ns, result.gone)
            if job.full and self._rescan.reason not in _KNOWN_FIRST:
                self.visits.restart(with_aside=not self.scan_complete)
            if schedule.full_ns is None and not self.early.loading:
                self.visits.clear()  # the scan began before pause()
        elif isinstance(job, Search) and schedule.searching:
            schedule.slice_ended(result.found, result.ended, result.cpu_ns, now_ns)
            self.large += result.large
            if result.ended:
                self._rescan.pending.discard(Part.SEARCH)
        elif isinstance(job, Visit):
            self._kept.add_visits(policy, since_ns, [one.namespace for one in self._batch], result)
            self.procfs = result.procfs
            identities = [one.namespace.identity for one in self._batch]
            self.visits.note_visits(identities, result.described)
            self.early.note(result.results, now_ns)
            if job.foreign:
                schedule.share.spend(result.cpu_ns, now_ns)
            elif job.describe or not self.scan_complete:
                schedule.full_cost_ns += result.cpu_ns
            targets.note_births(schedule, self._batch, result.results, now_ns)

    def _abort(self, hangs: bool) -> str:
        """Give up the job; return what it was. What `hangs` is tried again, but later."""
        now_ns, job, self._job = monotonic_ns(), self._job, None
        at = f" at {self.worker.at}" if self.worker.at else ""
        self._again_ns = 0 if hangs else now_ns + scan_schedule.AGAIN_NS
        if not isinstance(job, Visit):
            self.scans_given_up += hangs
            if isinstance(job, Scan):
                self.schedule.abort_scan(job.full, now_ns)
                if job.full and not self.scan_complete:
                    self._rescan.pending.add(Part.SCAN)
            elif isinstance(job, Look):
                self.schedule.abort_scan(False, now_ns)
            else:
                self.schedule.abort_search(now_ns)
            return f"scanning for namespaces{at}"
        last = self._batch[self.worker.step].namespace
        others = [one.namespace for one in self._batch if one.namespace is not last]
        # What ends the process again and again must not keep the others waiting.
        if hangs or last.identity == self._ended_at:
            self.visits.aside.add(last.identity, now_ns)
        else:
            others.append(last)
        self._ended_at = last.identity
        self.visits.give_back(one.identity for one in others)
        paths = self.visits.places[last.identity].paths
        return f"entering {last} through {paths[0] if paths else 'no path'}"


def _proceed_early(scanner: NamespaceScanner, policy: Policy, memory: Memory, now_ns: int) -> None:
    """Scan once, and visit what ip_vs was added to, while it is still being loaded."""
    if scanner.early.scan_due:
        scanner.early.scan_due = False
        scanner.schedule.begin_scan(False, now_ns)
        scanner._begin(Scan(scanner.worker.is_wary, full=False), policy)
    elif _is_due(scanner.early.next_ns(), now_ns):
        scanner._visit(policy, memory)


def _foreign_due_ns(scanner: NamespaceScanner, now_ns: int) -> int:
    """Return when foreign namespaces are visited next: a full batch at once, few together."""
    ready_ns = scanner.schedule.share.ready_ns(now_ns)
    full = len(scanner.visits.foreign) >= visit_queue.VISITS_A_JOB
    return ready_ns if full else max(ready_ns, scanner.foreign_ns)


def _is_due(moment_ns: Optional[int], now_ns: int) -> bool:
    return moment_ns is not None and moment_ns <= now_ns
