"""When to scan for namespaces: events, retries, periods, and what scans may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.daemon import scan_schedule
from ipvsd.daemon.scan_schedule import (
    DEEP_PERIOD_NS,
    FULL_SHARE,
    POLL_NS,
    RETRIES_NS,
    SHORT_FULL_SCAN_NS,
    VISIBLE_NS,
    Scan,
    ScanReport,
    ScanSchedule,
)
from ipvsd.model import NS_PER_MS, NS_PER_S

PERIOD_NS = 30 * NS_PER_S
BEGIN_NS = 1000 * NS_PER_S


class Clock:
    """Scans when the schedule says so; each kind of scan takes its time from `costs_ns`."""

    def __init__(self, reported=True, costs_ns=(0, 0, 0)):
        self.reported = reported
        self.costs_ns = dict(zip((Scan.QUICK, Scan.DEEP, Scan.FULL), costs_ns))
        self.now_ns = BEGIN_NS
        self.scans = []
        self.schedule = ScanSchedule()
        self.record()

    def record(self):
        """Scan everything, so that nothing is due before the next periodic scan."""
        self.schedule = scan_schedule.rescan_all(self.schedule, self.now_ns)
        self.run(self.now_ns)
        self.scans = []

    def expect_births(self, births=1, born_ns=None):
        self.schedule = scan_schedule.birth_expected(self.schedule, self.now_ns, births, born_ns)

    def begin(self):
        """Begin the scan that is due, and return it; None if none is due."""
        scan, _ = scan_schedule.next_scan(self.schedule, self.now_ns)
        if scan is not None:
            self.scans.append((self.now_ns, scan))
            self.schedule = scan_schedule.scan_begun(self.schedule, scan, self.now_ns)
        return scan

    def end(self, scan, found=0):
        took_ns = self.costs_ns[scan]
        self.now_ns += took_ns
        done = ScanReport(scan, found, took_ns, PERIOD_NS, self.reported)
        self.schedule = scan_schedule.scan_ended(self.schedule, done, self.now_ns)

    def run(self, until_ns, found=0):
        """Make every scan that is due until then."""
        while True:
            scan = self.begin()
            if scan is not None:
                self.end(scan, found)
                continue
            _, next_ns = scan_schedule.next_scan(self.schedule, self.now_ns)
            if next_ns is None or next_ns > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return
            self.now_ns = next_ns

    def kinds(self):
        return [scan for _, scan in self.scans]


def test_a_new_schedule_asks_for_nothing():
    assert scan_schedule.next_scan(ScanSchedule(), BEGIN_NS) == (None, None)


def test_rescan_all_is_a_full_and_a_deep_scan_at_once():
    clock = Clock()
    clock.schedule = scan_schedule.rescan_all(clock.schedule, clock.now_ns)
    clock.run(clock.now_ns)
    assert sorted(clock.kinds(), key=str) == [Scan.DEEP, Scan.FULL]
    assert clock.kinds()[0] is Scan.FULL


def test_rescan_all_does_not_wait_for_the_share_of_deep_scans():
    clock = Clock(costs_ns=(0, NS_PER_S, 0))
    clock.record()
    clock.schedule = scan_schedule.rescan_all(clock.schedule, clock.now_ns)
    clock.run(clock.now_ns)
    assert Scan.DEEP in clock.kinds()


def test_a_birth_is_searched_for_at_once():
    clock = Clock()
    clock.expect_births()
    assert scan_schedule.next_scan(clock.schedule, clock.now_ns) == (Scan.QUICK, clock.now_ns)


def test_a_thousand_births_while_a_scan_is_due_cost_one_scan():
    clock = Clock()
    for _ in range(1000):
        clock.expect_births()
    scan = clock.begin()
    clock.end(scan, found=1000)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [Scan.QUICK]


def test_a_birth_that_is_not_found_is_searched_for_again_and_at_last_deeply():
    clock = Clock()
    begin_ns = clock.now_ns
    clock.expect_births()
    clock.run(begin_ns + NS_PER_S)
    waits_ns = [moment_ns - begin_ns for moment_ns, _ in clock.scans]
    assert clock.kinds() == [Scan.QUICK] * 5 + [Scan.DEEP]
    ms = [wait_ns // NS_PER_MS for wait_ns in waits_ns]
    assert ms == [0, 4, 20, 84, 340, 340]
    assert [wait_ns // NS_PER_MS for wait_ns in RETRIES_NS] == [4, 16, 64, 256]


def test_a_birth_that_a_deep_scan_does_not_find_is_given_up():
    clock = Clock()
    clock.expect_births()
    clock.run(clock.now_ns + 20 * NS_PER_S)
    assert clock.kinds().count(Scan.DEEP) == 1
    assert clock.schedule.births == 0 and clock.schedule.born_ns is None


def test_retries_end_when_all_births_are_found():
    clock = Clock()
    clock.expect_births(births=2)
    clock.end(clock.begin(), found=1)
    assert clock.schedule.births == 1
    clock.now_ns += RETRIES_NS[0]
    clock.end(clock.begin(), found=1)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [Scan.QUICK, Scan.QUICK]


@pytest.mark.parametrize("scan", [Scan.QUICK, Scan.DEEP, Scan.FULL])
def test_births_reported_while_a_scan_is_under_way_are_searched_for_after_it(scan):
    clock = Clock()
    clock.schedule = clock.schedule._replace(
        **{{Scan.QUICK: "quick_ns", Scan.DEEP: "deep_ns", Scan.FULL: "full_ns"}[scan]: 0}
    )
    assert clock.begin() is scan
    clock.expect_births(born_ns=clock.now_ns)
    clock.end(scan, found=0)
    assert clock.schedule.births == 1 and clock.schedule.born_ns is not None
    assert clock.begin() is Scan.QUICK


def test_an_event_without_births_is_one_quick_scan():
    clock = Clock()
    clock.expect_births(births=0)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [Scan.QUICK]


def test_where_births_are_not_reported_there_is_a_quick_scan_every_second():
    clock = Clock(reported=False)
    clock.run(clock.now_ns + 10 * POLL_NS)
    assert clock.kinds() == [Scan.QUICK] * 10


@pytest.mark.parametrize(
    "cpu_ns, after_ns",
    [
        (0, PERIOD_NS),
        (SHORT_FULL_SCAN_NS, PERIOD_NS),
        (NS_PER_S, FULL_SHARE * NS_PER_S),
        (PERIOD_NS, FULL_SHARE * PERIOD_NS),
    ],
)
def test_full_scans_cost_no_more_than_their_share(cpu_ns, after_ns):
    clock = Clock()
    clock.run(clock.now_ns + PERIOD_NS)
    assert clock.kinds() == [Scan.FULL]
    full_scan_visited = scan_schedule.full_scan_visited(clock.schedule, cpu_ns, clock.now_ns)
    assert full_scan_visited.full_ns == clock.now_ns + after_ns
    assert scan_schedule.full_scan_visited(ScanSchedule(), cpu_ns, clock.now_ns) == ScanSchedule()


def test_where_births_are_reported_no_scan_is_due_before_the_full_scan():
    clock = Clock()
    clock.run(clock.now_ns + PERIOD_NS - 1)
    assert clock.scans == []
    clock.run(clock.now_ns + 1)
    assert clock.kinds() == [Scan.FULL]


@pytest.mark.parametrize(
    "why, reported, period_ns",
    [
        ("births are reported", True, DEEP_PERIOD_NS),
        ("births are not reported: with each full scan", False, PERIOD_NS),
    ],
)
def test_deep_scans_are_as_rare_as_they_may_be(why, reported, period_ns):
    clock = Clock(reported)
    begin_ns = clock.now_ns
    clock.run(begin_ns + 3 * period_ns + NS_PER_S)
    deep = [moment_ns for moment_ns, scan in clock.scans if scan is Scan.DEEP]
    assert deep == [begin_ns + n * period_ns for n in (1, 2, 3)], why


def storm(clock, seconds, every_ns=NS_PER_MS):
    """Report births that are never found; return the time spent for each kind of scan."""
    spent_ns = dict.fromkeys(Scan, 0)
    end_ns = clock.now_ns + seconds * NS_PER_S
    while clock.now_ns < end_ns:
        clock.expect_births(born_ns=clock.now_ns)
        scan = clock.begin()
        if scan is None:
            clock.now_ns += every_ns
            continue
        spent_ns[scan] += clock.costs_ns[scan]
        clock.end(scan)
    return spent_ns


def test_a_storm_of_births_does_not_cost_more_than_its_share_in_deep_scans():
    clock = Clock(costs_ns=(5 * NS_PER_MS, 400 * NS_PER_MS, 0))
    spent_ns = storm(clock, 100)
    assert spent_ns[Scan.DEEP] <= 100 * NS_PER_S // scan_schedule.DEEP_SHARE + 400 * NS_PER_MS


def test_a_storm_of_births_does_not_prevent_deep_scans():
    """A hidden holder is found while other namespaces are created and removed all the time."""
    clock = Clock(costs_ns=(5 * NS_PER_MS, 400 * NS_PER_MS, 0))
    storm(clock, 100)
    assert clock.kinds().count(Scan.DEEP) >= 5


def test_a_storm_of_births_does_not_cost_more_than_its_share_in_quick_scans():
    """Retries, a handful in the time that all of them take, come on top of the share."""
    clock = Clock(costs_ns=(20 * NS_PER_MS, 400 * NS_PER_MS, 0))
    spent_ns = storm(clock, 100)
    rounds = 100 * NS_PER_S // sum(RETRIES_NS) + 1
    retries_ns = rounds * len(RETRIES_NS) * 20 * NS_PER_MS
    assert spent_ns[Scan.QUICK] <= 100 * NS_PER_S // scan_schedule.QUICK_SHARE + retries_ns


def test_a_new_birth_is_searched_for_again_even_while_an_old_one_waits_for_its_deep_scan():
    """The retries find a namespace that is visible a moment after its birth in time.

    An old birth that no scan can find (its namespace was removed at once, or it was none:
    copy_net_ns reports more than births) must not use up the retries of later births.
    """
    clock = Clock(costs_ns=(NS_PER_MS, NS_PER_S, 0))
    clock.expect_births()
    clock.run(clock.now_ns + 2 * NS_PER_S)  # its deep scan is over, the next one is due in 20 s
    clock.expect_births()
    clock.run(clock.now_ns + NS_PER_S)  # retried, and not found
    clock.scans = []
    born_ns = clock.now_ns
    clock.expect_births()
    clock.run(born_ns + 400 * NS_PER_MS)
    visible_ns = born_ns + 3 * NS_PER_MS
    assert [scan for moment_ns, scan in clock.scans if moment_ns >= visible_ns]


def test_a_deep_scan_does_not_end_the_search_for_a_birth_just_before_it():
    """A deep scan finds no more than a quick one while the namespace has no holder yet."""
    clock = Clock()
    clock.now_ns += DEEP_PERIOD_NS - NS_PER_MS
    clock.run(clock.now_ns)
    clock.expect_births(born_ns=clock.now_ns)
    clock.run(clock.now_ns + 400 * NS_PER_MS)
    born_ns = BEGIN_NS + DEEP_PERIOD_NS - NS_PER_MS
    deep_ns = BEGIN_NS + DEEP_PERIOD_NS
    assert (born_ns, Scan.QUICK) in clock.scans and (deep_ns, Scan.DEEP) in clock.scans
    assert [scan for moment_ns, scan in clock.scans if moment_ns > deep_ns]


@pytest.mark.parametrize(
    "why, born_ns, scan, before_ns, expected",
    [
        ("no birth was reported", None, Scan.QUICK, 50, None),
        ("the first birth that was reported", 70, Scan.QUICK, None, 70),
        ("reported after the scan before", 10**9 + 5, Scan.QUICK, 10**9, 10**9 + 5),
        ("the scan before would have found it", 1, Scan.QUICK, 10**9, 10**9 - VISIBLE_NS),
        ("the scan before may have been no deep one", 1, Scan.DEEP, 10**9, 1),
        ("the scan before may have been no full one", 1, Scan.FULL, 10**9, 1),
    ],
)
def test_earliest_birth(why, born_ns, scan, before_ns, expected):
    before = ScanSchedule(births=1, born_ns=born_ns)
    assert scan_schedule.earliest_birth(before, scan, before_ns) == expected, why


def test_the_first_of_several_births_counts():
    clock = Clock()
    clock.expect_births(born_ns=BEGIN_NS - 5)
    clock.expect_births(born_ns=BEGIN_NS - 9)
    clock.expect_births(born_ns=BEGIN_NS - 1)
    clock.expect_births(births=0)
    assert clock.schedule.born_ns == BEGIN_NS - 9


_STEP = st.tuples(
    st.integers(min_value=0, max_value=400 * NS_PER_MS),  # until the next birth
    st.integers(min_value=0, max_value=VISIBLE_NS),  # until it can be found
)


@given(st.lists(_STEP, min_size=1, max_size=15), st.integers(0, 30 * NS_PER_MS))
def test_nothing_that_is_found_was_born_before_the_earliest_birth(steps, quick_ns):
    """Every namespace is found in the time that the retries take, and not later."""
    clock = Clock(costs_ns=(quick_ns, 10 * quick_ns, quick_ns))
    moment_ns = clock.now_ns
    unreported, unfound, before_ns = [], set(), None
    for wait_ns, hidden_ns in steps:
        moment_ns += wait_ns
        unreported.append((moment_ns, moment_ns + hidden_ns))
    while clock.now_ns < moment_ns + NS_PER_S:
        while unreported and unreported[0][0] <= clock.now_ns:
            unfound.add(unreported[0])
            clock.expect_births(born_ns=unreported.pop(0)[0])
        scan, next_ns = scan_schedule.next_scan(clock.schedule, clock.now_ns)
        if scan is None:
            next_birth_ns = unreported[0][0] if unreported else next_ns
            clock.now_ns = max(clock.now_ns + 1, min(next_ns, next_birth_ns))
            continue
        earliest_ns = scan_schedule.earliest_birth(clock.schedule, scan, before_ns)
        assert clock.begin() is scan
        before_ns = clock.now_ns
        found = {one for one in unfound if one[1] <= clock.now_ns}
        unfound -= found
        assert all(earliest_ns is not None and earliest_ns <= birth_ns for birth_ns, _ in found)
        clock.end(scan, len(found))
    assert not unfound


@pytest.mark.parametrize("unknown_first", [True, False])
def test_a_birth_whose_time_is_unknown_leaves_all_unknown(unknown_first):
    """It may be earlier than those that are known, so the bound is the scan before."""
    clock = Clock()
    moments = [None, clock.now_ns] if unknown_first else [clock.now_ns, None]
    for moment_ns in moments:
        clock.expect_births(born_ns=moment_ns)
    assert scan_schedule.earliest_birth(clock.schedule, Scan.DEEP, None) is None
    clock.end(clock.begin(), found=2)
    clock.expect_births(born_ns=clock.now_ns)
    assert scan_schedule.earliest_birth(clock.schedule, Scan.DEEP, None) == clock.now_ns


@given(
    st.lists(st.tuples(st.sampled_from(["event", "scan", "wait"]), st.integers(0, 5)), max_size=60),
    st.booleans(),
)
def test_whatever_happens_there_is_always_a_next_scan(steps, reported):
    clock = Clock(reported, (NS_PER_MS, 20 * NS_PER_MS, NS_PER_MS))
    for what, number in steps:
        if what == "event":
            clock.expect_births(number, clock.now_ns if number % 2 else None)
        elif what == "wait":
            clock.now_ns += number * 100 * NS_PER_MS
        else:
            scan = clock.begin()
            if scan is not None:
                clock.end(scan, number)
        scan, next_ns = scan_schedule.next_scan(clock.schedule, clock.now_ns)
        assert next_ns is not None and next_ns <= clock.now_ns + PERIOD_NS
        assert clock.schedule.births >= 0
        assert clock.schedule.births or clock.schedule.born_ns is None


def test_when_births_are_no_longer_reported_scans_each_second_begin_at_once():
    clock = Clock()
    clock.run(clock.now_ns + 2 * NS_PER_S)
    assert clock.scans == []
    clock.reported = False
    lost_ns = clock.now_ns
    clock.schedule = scan_schedule.births_unreported(clock.schedule, PERIOD_NS, lost_ns)
    assert scan_schedule.births_unreported(clock.schedule, PERIOD_NS, lost_ns + 9) == clock.schedule
    clock.run(lost_ns + PERIOD_NS)
    assert clock.scans[0] == (lost_ns + POLL_NS, Scan.QUICK)
    assert clock.kinds().count(Scan.QUICK) >= 25 and clock.kinds().count(Scan.DEEP) == 1


def test_scans_each_second_cost_no_more_than_their_share():
    clock = Clock(costs_ns=(NS_PER_S, 0, 0))
    clock.expect_births(0)
    clock.run(clock.now_ns + NS_PER_S)
    ended_ns = clock.now_ns
    schedule = scan_schedule.births_unreported(clock.schedule, PERIOD_NS, ended_ns)
    assert schedule.quick_ns > ended_ns + 3 * POLL_NS


def test_without_ip_vs_nothing_is_scanned_for_because_births_are_not_reported():
    schedule = scan_schedule.births_unreported(ScanSchedule(), PERIOD_NS, BEGIN_NS)
    assert schedule == ScanSchedule()
