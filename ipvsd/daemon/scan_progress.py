"""Decides how scans follow each other: the schedule, the scan under way, the last one."""

from typing import NamedTuple, Optional

from ipvsd.daemon import scan_schedule
from ipvsd.daemon.scan_schedule import Scan, ScanReport, ScanSchedule


class LastScan(NamedTuple):
    """The last scan that has begun."""

    began_ns: int
    since_ns: Optional[int]  # what it finds new did not exist before this moment
    born_ns: Optional[int]  # the earliest birth that it can find


class ScanProgress:
    """The schedule of scans, moved on as scans begin and end. All times are monotonic."""

    def __init__(self) -> None:
        self.schedule = ScanSchedule()
        # The scan under way, until what it found urgent has been visited.
        self.scanning: Optional[Scan] = None
        self.new = 0  # namespaces that it has found so far
        self.took_ns = 0
        self.last: Optional[LastScan] = None
        self._deep_began_ns: Optional[int] = None
        self.births_reported = False  # now, as in ScanReport

    @property
    def born_ns(self) -> Optional[int]:
        """The earliest birth of what the last scan has found, None if it is unknown.

        A scan also finds a namespace whose birth is reported while it is under way.
        """
        if self.last is not None and self.last.born_ns is not None:
            return self.last.born_ns
        return self.schedule.born_ns

    @property
    def births_expected(self) -> bool:
        """Whether a namespace may have been born that was not found yet."""
        return self.schedule.births > 0 or not self.births_reported

    def pause(self) -> None:
        """Plan no scan; one that is under way counts no more."""
        self.schedule, self.scanning = ScanSchedule(), None

    def rescan_all(self, now_ns: int) -> None:
        """Plan to find every namespace now."""
        self.schedule = scan_schedule.rescan_all(self.schedule, now_ns)

    def expect_births(self, now_ns: int, births: int, born_ns: Optional[int]) -> None:
        """Plan a scan soon: so many births were reported, the first at `born_ns`."""
        self.schedule = scan_schedule.birth_expected(self.schedule, now_ns, births, born_ns)

    def note_reports(self, births_reported: bool, period_ns: int, now_ns: int) -> None:
        """Note whether births are reported now; the arguments are those of ScanReport."""
        self.births_reported = births_reported
        if not births_reported:
            self.schedule = scan_schedule.births_unreported(self.schedule, period_ns, now_ns)

    def note_full_scan_visited(self, cpu_ns: int, now_ns: int) -> None:
        """Note that all that a full scan found has been visited, in so much CPU time."""
        self.schedule = scan_schedule.full_scan_visited(self.schedule, cpu_ns, now_ns)

    def next_ns(self, now_ns: int) -> Optional[int]:
        """Return when the next scan is due, None for never."""
        return scan_schedule.next_scan(self.schedule, now_ns)[1]

    def due(self, now_ns: int) -> Optional[Scan]:
        """Return the scan that is due, if any."""
        return scan_schedule.next_scan(self.schedule, now_ns)[0]

    def begin(self, scan: Scan, now_ns: int) -> None:
        """Note that a scan begins."""
        last_ns = self.last.began_ns if self.last is not None else None
        before_ns = self._deep_began_ns if scan is Scan.DEEP else last_ns
        since_ns = before_ns - scan_schedule.VISIBLE_NS if before_ns is not None else None
        born_ns = scan_schedule.earliest_birth(self.schedule, scan, before_ns)
        self.last = LastScan(now_ns, since_ns, born_ns)
        if scan is Scan.DEEP:
            self._deep_began_ns = now_ns
        self.schedule = scan_schedule.scan_begun(self.schedule, scan, now_ns)
        self.scanning, self.new = scan, 0

    def end(self, period_ns: int, now_ns: int) -> None:
        """Note that the scan under way has ended; `period_ns` as in ScanReport."""
        if self.scanning is not None:
            reported = self.births_reported
            report = ScanReport(self.scanning, self.new, self.took_ns, period_ns, reported)
            self.schedule = scan_schedule.scan_ended(self.schedule, report, now_ns)
            self.scanning = None

    def abort(self, now_ns: int) -> None:
        """Note that the scan under way has failed."""
        if self.scanning is not None:
            self.schedule = scan_schedule.scan_failed(self.schedule, self.scanning, now_ns)
            self.scanning = None
