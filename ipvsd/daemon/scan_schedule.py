"""When to look for namespaces again, and how thoroughly."""

from enum import Enum
from typing import NamedTuple, Optional, Tuple

from ipvsd.model import NS_PER_MS, NS_PER_S

# A birth is told before the namespace has a holder that can be found, by some microseconds or,
# on a busy machine, milliseconds: look now, and then after these waits. What has not been found
# then is gone again, or held in a way that only a deep look finds.
RETRIES_NS = (4 * NS_PER_MS, 16 * NS_PER_MS, 64 * NS_PER_MS, 256 * NS_PER_MS)

# Longer than it takes from a birth to a holder that can be found.
VISIBLE_NS = 100 * NS_PER_MS

# What looks may cost while namespaces come and go all the time: this part of the time each.
QUICK_SHARE = 5
DEEP_SHARE = 10
# And what sweeps may, be there ever so many namespaces: this part of a CPU. Short ones are made as
# often as the policy says; every 30 seconds, as it does by default, that is no more.
FULL_SHARE = 250
SHORT_FULL_SCAN_NS = 120 * NS_PER_MS

# Where no births are told, a new namespace is found by a glance well before its first estimation.
POLL_NS = NS_PER_S
# After a look that has failed.
AGAIN_NS = NS_PER_S
# All births being told, a deep look only finds what has changed hands.
DEEP_PERIOD_NS = 600 * NS_PER_S


class Scan(Enum):
    """How to look."""

    QUICK = "glance"  # for holders that are new, and into their namespaces
    DEEP = "deep"  # the same, also for holders that are hard to find
    FULL = "sweep"  # into every namespace


class ScanSchedule(NamedTuple):
    """When the next looks are due (monotonic nanoseconds); None for not at all."""

    full_ns: Optional[int] = None
    deep_ns: Optional[int] = None
    quick_ns: Optional[int] = None
    births: int = 0  # told, and not yet found
    born_ns: Optional[int] = None  # when the first of them was; None where one has no time
    heard_ns: int = 0  # when the last of them was told
    tries: int = 0  # how often they were looked for again
    retry_ns: Optional[int] = None  # when they are to be next; None when only a deep look may help
    quick_after_ns: int = 0  # so that looking costs no more than its share
    deep_after_ns: int = 0


class ScanReport(NamedTuple):
    """How a look went."""

    scan: Scan
    found: int  # new namespaces
    took_ns: int  # without the visits
    period_ns: int  # between two sweeps, as the policy has it
    told: bool  # whether births are told of at all


def earliest_birth(schedule: ScanSchedule, scan: Scan, before_ns: Optional[int]) -> Optional[int]:
    """Return the moment before which nothing was born that a look finds, None if it is not told.

    That is the first birth that was told and not found; but what a glance finds cannot be much
    older than the look before it (`before_ns`), which would have found it.
    """
    if schedule.born_ns is None or before_ns is None or scan is not Scan.QUICK:
        return schedule.born_ns
    return max(schedule.born_ns, before_ns - VISIBLE_NS)


def rescan_all(schedule: ScanSchedule, now_ns: int) -> ScanSchedule:
    """Return the agenda when everything is to be looked at, now."""
    return schedule._replace(full_ns=now_ns, deep_ns=now_ns, deep_after_ns=now_ns)


def birth_expected(
    schedule: ScanSchedule, now_ns: int, births: int = 0, born_ns: Optional[int] = None
) -> ScanSchedule:
    """Return the agenda after something told that namespaces may be new.

    Hints that come while a look is due or under way are merged with it. A hint that does not say
    how many (`births` = 0), such as a new mount, is followed by one glance.
    """
    schedule = _quick_at(schedule, max(now_ns, schedule.quick_after_ns))
    if not births:
        return schedule
    if not schedule.births:
        return schedule._replace(births=births, born_ns=born_ns, heard_ns=now_ns, tries=0)
    known = [moment for moment in (schedule.born_ns, born_ns) if moment is not None]
    return schedule._replace(
        births=schedule.births + births,
        born_ns=min(known) if len(known) > 1 else None,
        heard_ns=now_ns,
        # One that is long gone must not use up the tries of those that come after it.
        tries=schedule.tries if schedule.retry_ns is not None else 0,
    )


def next_scan(schedule: ScanSchedule, now_ns: int) -> Tuple[Optional[Scan], Optional[int]]:
    """Return the look that is due, if any, and else when the next one is."""
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
    """Return the agenda when a look has begun: hints that come from now on ask for another.

    What a deep look does not find is not there, if it was told long enough ago to be visible.
    """
    if scan is Scan.FULL:
        return schedule._replace(full_ns=None, quick_ns=None)
    if scan is Scan.QUICK:
        return schedule._replace(quick_ns=None)
    schedule = schedule._replace(deep_ns=None, quick_ns=None)
    if now_ns - schedule.heard_ns >= VISIBLE_NS:
        return schedule._replace(births=0, born_ns=None, retry_ns=None)
    if schedule.born_ns is None:
        return schedule
    return schedule._replace(born_ns=max(schedule.born_ns, now_ns - VISIBLE_NS))


def scan_ended(schedule: ScanSchedule, done: ScanReport, now_ns: int) -> ScanSchedule:
    """Return the agenda after a look has ended."""
    births, deep_ns = schedule.births, schedule.deep_ns
    if done.scan is Scan.DEEP:
        schedule = schedule._replace(deep_after_ns=now_ns + DEEP_SHARE * done.took_ns)
        wait_ns = DEEP_PERIOD_NS if done.told else done.period_ns
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
    return schedule if done.told else _quick_at(schedule, now_ns + POLL_NS)


def full_scan_visited(schedule: ScanSchedule, cpu_ns: int, now_ns: int) -> ScanSchedule:
    """Return the agenda after the last visit of a sweep, all of which took so much CPU time."""
    if schedule.full_ns is None or cpu_ns <= SHORT_FULL_SCAN_NS:
        return schedule
    return schedule._replace(full_ns=max(schedule.full_ns, now_ns + FULL_SHARE * cpu_ns))


def _retried(schedule: ScanSchedule, now_ns: int) -> ScanSchedule:
    """Return the agenda when births were not found: with the next retry, or a deep look."""
    if schedule.retry_ns is not None and now_ns < schedule.retry_ns:
        return _quick_at(schedule, schedule.retry_ns)
    if schedule.tries == len(RETRIES_NS):
        if schedule.retry_ns is None:
            return schedule
        due_ns = max(now_ns, schedule.deep_after_ns)
        deep_ns = due_ns if schedule.deep_ns is None else min(due_ns, schedule.deep_ns)
        schedule = schedule._replace(deep_ns=deep_ns, retry_ns=None)
        if now_ns - schedule.heard_ns >= VISIBLE_NS:
            return schedule
        schedule = schedule._replace(tries=0)
    retry_ns = now_ns + RETRIES_NS[schedule.tries]
    return _quick_at(schedule._replace(tries=schedule.tries + 1, retry_ns=retry_ns), retry_ns)


def scan_failed(schedule: ScanSchedule, scan: Scan, now_ns: int) -> ScanSchedule:
    """Return the agenda after a look that has come to nothing: it is made again soon."""
    due_ns = now_ns + AGAIN_NS
    if scan is Scan.FULL:
        return schedule._replace(full_ns=due_ns)
    return schedule._replace(deep_ns=due_ns) if scan is Scan.DEEP else _quick_at(schedule, due_ns)


def _quick_at(schedule: ScanSchedule, due_ns: int) -> ScanSchedule:
    earliest_ns = due_ns if schedule.quick_ns is None else min(due_ns, schedule.quick_ns)
    return schedule._replace(quick_ns=earliest_ns)
