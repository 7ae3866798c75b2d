"""Decides when to scan for namespaces, and when to search for hidden ones.

A scan finds namespaces with new holders. A search, in slices, finds holders that are hard to find,
and the next scan returns them. All times are monotonic nanoseconds.
"""

from typing import Dict, List, NamedTuple, Optional

from ipvsd.daemon.expected_births import SETTLED_NS, VISIBLE_NS, ExpectedBirths
from ipvsd.daemon.looks import Looks
from ipvsd.daemon.share import Share
from ipvsd.model import NS_PER_MS, NS_PER_S, Identity

# What the visits of full scans may cost, however many namespaces there are: one part of a CPU in so
# many; to record them costs the loop a third as much. Short ones are made as often as the policy
# says; with its default, 30 seconds, they cost 0.4 % at most.
FULL_SHARE = 250
SHORT_FULL_SCAN_NS = 120 * NS_PER_MS

# Where births are not reported, a scan finds a namespace well before its estimation begins. It is
# left out while nobody has been forked: nearly all namespaces are made by or for a new process, and
# a full scan finds the others.
POLL_NS = NS_PER_S
# After a scan that has failed.
AGAIN_NS = NS_PER_S
# While all births are reported, a search only finds namespaces that got another holder.
SEARCH_PERIOD_NS = 600 * NS_PER_S


class LastScan(NamedTuple):
    """The last scan that has begun."""

    began_ns: int
    since_ns: Optional[int]  # what it finds new did not exist before this moment
    born_ns: Optional[int]  # the earliest birth that it can find


class ScanSchedule:
    """The demands for scans, and what is known about births that were reported."""

    def __init__(self) -> None:
        self.full_ns: Optional[int] = None  # None while ip_vs is not loaded: nothing is due then
        self.search_ns: Optional[int] = None  # when the next search begins
        self.searching = False  # one is under way
        self.births_reported = False  # by the kernel, so that no scan each second is needed
        self.births = ExpectedBirths()
        self.looks = Looks()
        self.last: Optional[LastScan] = None
        # Of what births cause, beside looks: scans, and visits to foreign namespaces.
        self.share = Share(25, NS_PER_S)
        self.search_share = Share(150, 3 * NS_PER_S)
        self._poll_ns: Optional[int] = None
        self._newest_pid: Optional[int] = None  # at the last call of note_reports()
        self._scanned_pid: Optional[int] = None  # when the last scan began
        self.full = False  # a full scan is under way: what it has found is being visited
        self.full_cost_ns = 0  # CPU time of it so far
        self._quick_ns: Optional[int] = None
        self._searched_ns: Optional[int] = None  # when the last search began, and the one before
        self._searched_before_ns: Optional[int] = None
        self.hidden_found = False  # by the search, so that the next scan finds old namespaces

    def pause(self) -> None:
        """Let nothing be due until rescan_all() is called."""
        self.full_ns = self.search_ns = self._quick_ns = self._poll_ns = None
        self.searching = self.full = False
        self.looks.clear()

    def rescan_all(self, now_ns: int) -> None:
        """Find and check every namespace now."""
        self.full_ns = self.search_ns = now_ns
        self.searching = self.full = False  # those under way are not those that are meant

    def expect_births(
        self,
        now_ns: int,
        births: int,
        born_ns: Optional[int],
        tasks: Optional[Dict[int, int]] = None,
        born: Optional[Dict[int, int]] = None,
    ) -> None:
        """Look or scan soon: so many births were reported, the first at `born_ns` (if known).

        Those are counted apart whose inode number is known: `born` has when they were. Where the
        `tasks` that have caused births are known, with their times, these are looked at, and a scan
        follows only if that does not find all. A report of no birth, such as one of a new mount, is
        followed by a look and a scan.
        """
        if tasks or not (births or born):
            self.looks.report(tasks or {}, now_ns)
        if not tasks:
            self._scan_at(now_ns)
        if births or born:
            self.births.report_numbered(born or {})
            self.births.report(births, born_ns, now_ns, looked=bool(tasks))

    def note_reports(
        self, births_reported: bool, period_ns: int, now_ns: int, newest_pid: Optional[int] = None
    ) -> None:
        """Note whether births are reported now; `period_ns` is the time between two full scans.

        `newest_pid` is that of the process that was forked last, None if unknown.
        """
        self.births_reported = births_reported
        if births_reported or self.full_ns is None:
            self._poll_ns = None
            return
        self.births.forget_times()
        self._newest_pid = newest_pid
        forked = newest_pid is None or newest_pid != self._scanned_pid
        if self._poll_ns is None or (self._poll_ns <= now_ns and not forked):
            self._poll_ns = now_ns + POLL_NS
        if self.search_ns is not None:
            self.search_ns = min(self.search_ns, now_ns + period_ns)

    def scan_ns(self, now_ns: int) -> Optional[int]:
        """Return when a scan for births or mounts is due, None for never."""
        if self.full_ns is None:
            return None
        moments = [self._quick_ns, self.births.scan_ns, self._poll_ns]
        first_ns = min((one for one in moments if one is not None), default=None)
        return None if first_ns is None else max(first_ns, self.share.ready_ns(now_ns))

    def next_search_ns(self, now_ns: int) -> Optional[int]:
        """Return when the next slice of a search is due, None for never."""
        if self.searching:
            return self.search_share.ready_ns(now_ns)
        if self.search_ns is None:
            return None
        return max(self.search_ns, self.search_share.ready_ns(now_ns))

    def begin_scan(self, full: bool, now_ns: int) -> None:
        """Note that a scan begins: reports from now on ask for another one."""
        before_ns = self.last.began_ns if self.last is not None else None
        born_ns = self.births.first_ns
        if self.hidden_found:
            before_ns = self._searched_before_ns
        elif born_ns is not None and before_ns is not None:
            # The scan before would have found what is much older than it.
            born_ns = max(born_ns, before_ns - VISIBLE_NS)
        since_ns = None if before_ns is None else before_ns - VISIBLE_NS
        self.last = LastScan(now_ns, since_ns, born_ns)
        self._scanned_pid = self._newest_pid
        self._quick_ns, self._poll_ns, self.hidden_found = None, None, False
        self.births.scan_ns = None
        if full:
            self.full = True
            self.full_ns = now_ns + AGAIN_NS  # if the scan fails

    def end_scan(self, full: bool, new: List[Identity], cost_ns: int, now_ns: int) -> None:
        """Note that a scan has found these new namespaces, and what it cost."""
        if not full:
            # Where births are reported, looks find nearly all: scans have a quarter.
            self.share.spend(cost_ns * (4 if self.births_reported else 1), now_ns)
        _note_found(self, new)
        again_ns = self.births.next_scan_ns(now_ns)
        if again_ns is not None:
            self._scan_at(again_ns)
        elif self.births.need_search() and self.search_ns is not None:
            self.search_ns = now_ns

    def abort_search(self, now_ns: int) -> None:
        """Note that a slice of a search has failed: another search begins soon."""
        self.searching = False
        if self.full_ns is not None:
            self.search_ns = now_ns + AGAIN_NS

    def abort_scan(self, full: bool, now_ns: int) -> None:
        """Note that a scan has failed: it is repeated soon."""
        if full:
            self.full = False  # full_ns is soon
        else:
            self._scan_at(now_ns + AGAIN_NS)

    def end_full_scan(self, period_ns: int, now_ns: int) -> None:
        """Note that all namespaces were visited; `period_ns` is the time between full scans."""
        cost_ns, self.full_cost_ns, self.full = self.full_cost_ns, 0, False
        if self.full_ns is not None:
            share = FULL_SHARE * (1 if self.births_reported else 2)
            share_ns = share * cost_ns if cost_ns > SHORT_FULL_SCAN_NS else 0
            self.full_ns = now_ns + max(period_ns, share_ns)

    def begin_search(self, now_ns: int) -> None:
        """Note that a search begins."""
        self.searching, self.search_ns = True, now_ns + SEARCH_PERIOD_NS
        self._searched_before_ns, self._searched_ns = self._searched_ns, now_ns

    def slice_ended(self, found: bool, ended: bool, cost_ns: int, now_ns: int) -> None:
        """Note that a slice of a search has ended, and perhaps the search."""
        self.search_share.spend(cost_ns * (1 if self.births_reported else 8), now_ns)
        if found:
            self.hidden_found = True
            self._scan_at(now_ns)
        if not ended:
            return
        self.searching = False
        began_ns = self._searched_ns or 0
        if not found:
            self.births.searched(began_ns)
        if self.births.too_early(began_ns) and self.search_ns is not None:
            self.search_ns = min(self.search_ns, now_ns + SETTLED_NS)

    def _scan_at(self, due_ns: int) -> None:
        self._quick_ns = due_ns if self._quick_ns is None else min(due_ns, self._quick_ns)


def next_ns(schedule: ScanSchedule, now_ns: int) -> Optional[int]:
    """Return when anything is due, None for never."""
    moments = (
        schedule.full_ns,
        schedule.scan_ns(now_ns),
        schedule.next_search_ns(now_ns),
        schedule.looks.next_ns(now_ns),
    )
    return min((moment for moment in moments if moment is not None), default=None)


def expect_again(schedule: ScanSchedule, lost: List[Identity], now_ns: int) -> None:
    """Expect births that were found and have lost their holder before they were visited."""
    if lost and schedule.full_ns is not None:
        schedule.births.expect_again(lost, now_ns)


def begin_look(schedule: ScanSchedule, now_ns: int) -> List[int]:
    """Begin a look, after the first scan; return the tasks to look at."""
    assert schedule.last is not None
    tasks = schedule.looks.begin(now_ns)
    born_ns = min(tasks.values()) if tasks else schedule.births.first_ns
    schedule.last = schedule.last._replace(born_ns=born_ns)
    return list(tasks)


def end_look(schedule: ScanSchedule, new: List[Identity], cost_ns: int, now_ns: int) -> None:
    """Note that a look has found these new namespaces, and what it cost."""
    _note_found(schedule, new)
    schedule.looks.end(bool(schedule.births.count), cost_ns, now_ns)


def _note_found(schedule: ScanSchedule, new: List[Identity]) -> None:
    if schedule.last is not None and schedule.last.born_ns is None:
        # Also a namespace whose birth was reported while the scan or look was under way.
        schedule.last = schedule.last._replace(born_ns=schedule.births.first_ns)
    schedule.births.found(new)
