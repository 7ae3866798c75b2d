"""Decides when to scan for namespaces, and how thoroughly."""

from enum import Enum
from typing import NamedTuple, Optional, Tuple

from ipvsd.model import NS_PER_MS, NS_PER_S

# A birth is reported some microseconds, on a busy machine milliseconds, before the namespace has a
# holder that can be found: scan now, and again after these waits. A namespace that is still not
# found no longer exists, or is held in a way that only a deep scan finds.
RETRIES_NS = (4 * NS_PER_MS, 16 * NS_PER_MS, 64 * NS_PER_MS, 256 * NS_PER_MS)

# Longer than it takes from a birth until the namespace has a holder that can be found.
VISIBLE_NS = 100 * NS_PER_MS

# What scans may cost while namespaces are created and removed all the time: one part in so many.
QUICK_SHARE = 5
DEEP_SHARE = 10
# What full scans may cost, however many namespaces there are: one part of a CPU in so many. Short
# ones are made as often as the policy says; with its default, 30 seconds, they cost no more.
FULL_SHARE = 250
SHORT_FULL_SCAN_NS = 120 * NS_PER_MS

# Where births are not reported, a quick scan finds a namespace well before its estimation begins.
POLL_NS = NS_PER_S
# After a scan that has failed.
AGAIN_NS = NS_PER_S
# While all births are reported, a deep scan only finds namespaces that got another holder.
DEEP_PERIOD_NS = 600 * NS_PER_S


class Scan(Enum):
    """The kinds of scans."""

    QUICK = "quick"  # finds new holders; their namespaces are visited
    DEEP = "deep"  # the same, also for holders that are hard to find
    FULL = "full"  # every namespace is visited


class ScanSchedule(NamedTuple):
    """When the next scans are due (monotonic nanoseconds), None for never."""

    full_ns: Optional[int] = None
    deep_ns: Optional[int] = None
    quick_ns: Optional[int] = None
    births: int = 0  # reported, and not yet found
    born_ns: Optional[int] = None  # when the first of them was; None if one has no time
    reported_ns: int = 0  # when the last of them was reported
    tries: int = 0  # scans for them since then
    retry_ns: Optional[int] = (
        None  # when the next one is due; None if only a deep scan may find them
    )
    quick_after_ns: int = 0  # so that scans cost no more than their share
    deep_after_ns: int = 0


class ScanReport(NamedTuple):
    """How a scan went."""

    scan: Scan
    found: int  # new namespaces
    took_ns: int  # without the visits
    period_ns: int  # between two full scans, as the policy says
    births_reported: bool  # by the kernel, so that no scan each second is needed


def earliest_birth(schedule: ScanSchedule, scan: Scan, before_ns: Optional[int]) -> Optional[int]:
    """Return the earliest birth of a namespace that a scan finds new, None if it is unknown.

    That is the first birth that was reported and not found. But what a quick scan finds cannot be
    much older than the scan before it (`before_ns`), which would have found it.
    """
    if schedule.born_ns is None or before_ns is None or scan is not Scan.QUICK:
        return schedule.born_ns
    return max(schedule.born_ns, before_ns - VISIBLE_NS)


def rescan_all(schedule: ScanSchedule, now_ns: int) -> ScanSchedule:
    """Return the schedule when every namespace has to be checked now."""
    return schedule._replace(full_ns=now_ns, deep_ns=now_ns, deep_after_ns=now_ns)


def birth_expected(
    schedule: ScanSchedule, now_ns: int, births: int = 0, born_ns: Optional[int] = None
) -> ScanSchedule:
    """Return the schedule after an event reported that namespaces may be new.

    Reports that come before a scan that is due has begun are merged into it. A report without a
    number (`births` = 0), such as a new mount, is followed by one quick scan.
    """
    schedule = _quick_at(schedule, max(now_ns, schedule.quick_after_ns))
    if not births:
        return schedule
    if not schedule.births:
        return schedule._replace(births=births, born_ns=born_ns, reported_ns=now_ns, tries=0)
    known = [moment for moment in (schedule.born_ns, born_ns) if moment is not None]
    return schedule._replace(
        births=schedule.births + births,
        born_ns=min(known) if len(known) > 1 else None,
        reported_ns=now_ns,
        # A birth that is never found must not use up the tries of those that follow it.
        tries=schedule.tries if schedule.retry_ns is not None else 0,
    )


def next_scan(schedule: ScanSchedule, now_ns: int) -> Tuple[Optional[Scan], Optional[int]]:
    """Return the scan that is due, if any, and when the next one is."""
    due = (
        (schedule.full_ns, Scan.FULL),
        (schedule.quick_ns, Scan.QUICK),
        (schedule.deep_ns, Scan.DEEP),
    )
    for moment, scan in due:
        if moment is not None and moment <= now_ns:
            return scan, now_ns
    return None, min((moment for moment, _ in due if moment is not None), default=None)


def scan_begun(schedule: ScanSchedule, scan: Scan, now_ns: int) -> ScanSchedule:
    """Return the schedule when a scan has begun: reports from now on ask for another one.

    What a deep scan does not find does not exist, if its birth was reported VISIBLE_NS ago.
    """
    if scan is Scan.FULL:
        return schedule._replace(full_ns=None, quick_ns=None)
    if scan is Scan.QUICK:
        return schedule._replace(quick_ns=None)
    schedule = schedule._replace(deep_ns=None, quick_ns=None)
    if now_ns - schedule.reported_ns >= VISIBLE_NS:
        return schedule._replace(births=0, born_ns=None, retry_ns=None)
    if schedule.born_ns is None:
        return schedule
    return schedule._replace(born_ns=max(schedule.born_ns, now_ns - VISIBLE_NS))


def scan_ended(schedule: ScanSchedule, done: ScanReport, now_ns: int) -> ScanSchedule:
    """Return the schedule after a scan has ended."""
    births, deep_ns = schedule.births, schedule.deep_ns
    if done.scan is Scan.DEEP:
        schedule = schedule._replace(deep_after_ns=now_ns + DEEP_SHARE * done.took_ns)
        wait_ns = DEEP_PERIOD_NS if done.births_reported else done.period_ns
        deep_ns = max(now_ns + wait_ns, schedule.deep_after_ns)
    else:
        births = max(0, births - done.found)
        schedule = schedule._replace(quick_after_ns=now_ns + QUICK_SHARE * done.took_ns)
    if done.scan is Scan.FULL:
        schedule = schedule._replace(full_ns=now_ns + done.period_ns)
    schedule = schedule._replace(births=births, deep_ns=deep_ns)
    if births:
        return _retried(schedule, now_ns)
    schedule = schedule._replace(born_ns=None, retry_ns=None)
    return schedule if done.births_reported else _quick_at(schedule, now_ns + POLL_NS)


def births_unreported(schedule: ScanSchedule, period_ns: int, now_ns: int) -> ScanSchedule:
    """Return the schedule while births are not reported; they may have been until a moment ago.

    Quick scans then come each second, and deep ones with the period of full scans. A schedule
    without scans, while ip_vs is not loaded, stays so.
    """
    if schedule.full_ns is None:
        return schedule
    if schedule.deep_ns is not None:
        due_ns = max(now_ns + period_ns, schedule.deep_after_ns)
        schedule = schedule._replace(deep_ns=min(schedule.deep_ns, due_ns))
    if schedule.quick_ns is not None:
        return schedule
    return _quick_at(schedule, max(now_ns + POLL_NS, schedule.quick_after_ns))


def full_scan_visited(schedule: ScanSchedule, cpu_ns: int, now_ns: int) -> ScanSchedule:
    """Return the schedule after the last visit of a full scan; all visits took `cpu_ns`."""
    if schedule.full_ns is None or cpu_ns <= SHORT_FULL_SCAN_NS:
        return schedule
    return schedule._replace(full_ns=max(schedule.full_ns, now_ns + FULL_SHARE * cpu_ns))


def _retried(schedule: ScanSchedule, now_ns: int) -> ScanSchedule:
    """Return the schedule when births were not found: with the next retry, or a deep scan."""
    if schedule.retry_ns is not None and now_ns < schedule.retry_ns:
        return _quick_at(schedule, schedule.retry_ns)
    if schedule.tries == len(RETRIES_NS):
        if schedule.retry_ns is None:
            return schedule
        due_ns = max(now_ns, schedule.deep_after_ns)
        deep_ns = due_ns if schedule.deep_ns is None else min(due_ns, schedule.deep_ns)
        schedule = schedule._replace(deep_ns=deep_ns, retry_ns=None)
        if now_ns - schedule.reported_ns >= VISIBLE_NS:
            return schedule
        schedule = schedule._replace(tries=0)
    retry_ns = now_ns + RETRIES_NS[schedule.tries]
    return _quick_at(schedule._replace(tries=schedule.tries + 1, retry_ns=retry_ns), retry_ns)


def scan_failed(schedule: ScanSchedule, scan: Scan, now_ns: int) -> ScanSchedule:
    """Return the schedule after a scan that has failed: it is repeated soon."""
    due_ns = now_ns + AGAIN_NS
    if scan is Scan.FULL:
        return schedule._replace(full_ns=due_ns)
    return schedule._replace(deep_ns=due_ns) if scan is Scan.DEEP else _quick_at(schedule, due_ns)


def _quick_at(schedule: ScanSchedule, due_ns: int) -> ScanSchedule:
    earliest_ns = due_ns if schedule.quick_ns is None else min(due_ns, schedule.quick_ns)
    return schedule._replace(quick_ns=earliest_ns)
