"""When to scan and to search for namespaces: events, retries, periods, and what it may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.daemon import scan_schedule
from ipvsd.daemon.expected_births import RETRIES_NS, SETTLED_NS, TIMES_MAX, VISIBLE_NS
from ipvsd.daemon.scan_schedule import (
    FULL_SHARE,
    POLL_NS,
    SEARCH_PERIOD_NS,
    SHORT_FULL_SCAN_NS,
    ScanSchedule,
)
from ipvsd.daemon.share import Share
from ipvsd.model import NS_PER_MS, NS_PER_S

PERIOD_NS = 30 * NS_PER_S
BEGIN_NS = 1000 * NS_PER_S
SCAN, FULL, SEARCH = "scan", "full scan", "search"


class Clock:
    """Scans and searches when the schedule says so; each takes its time from `costs_ns`."""

    def __init__(self, reported=True, scan_ns=0, search_ns=0):
        self.reported = reported
        self.costs_ns = {SCAN: scan_ns, FULL: scan_ns, SEARCH: search_ns}
        self.now_ns = BEGIN_NS
        self.jobs = []
        self.schedule = ScanSchedule()
        self.rescan_all()
        self.run(self.now_ns)
        self.jobs = []

    def rescan_all(self):
        self.schedule.rescan_all(self.now_ns)

    def expect_births(self, births=1, born_ns=None, born=None):
        self.schedule.expect_births(self.now_ns, births, born_ns, born=born)

    def begin(self):
        """Begin the job that is due, and return it; None if none is due."""
        schedule, now_ns = self.schedule, self.now_ns
        schedule.note_reports(self.reported, PERIOD_NS, now_ns)
        job = None
        if is_due(schedule.looks.next_ns(now_ns), now_ns):
            schedule.looks.begin(now_ns)
            schedule.looks.end(bool(schedule.births.count), 0, now_ns)
        if is_due(schedule.full_ns, now_ns):
            job = FULL
        elif is_due(schedule.scan_ns(now_ns), now_ns):
            job = SCAN
        elif is_due(schedule.next_search_ns(now_ns), now_ns):
            job = SEARCH
        if job == SEARCH:
            schedule.begin_search(now_ns)
        elif job is not None:
            schedule.begin_scan(job == FULL, now_ns)
        if job is not None:
            self.jobs.append((now_ns, job))
        return job

    def end(self, job, found=()):
        """End a job; `found` are the new namespaces, or as many with numbers of no matter."""
        found = [(4, number) for number in range(found)] if isinstance(found, int) else found
        cost_ns = self.costs_ns[job]
        self.now_ns += cost_ns
        if job == SEARCH:
            self.schedule.slice_ended(bool(found), True, cost_ns, self.now_ns)
            return
        self.schedule.end_scan(job == FULL, found, cost_ns, self.now_ns)
        if job == FULL:
            self.schedule.end_full_scan(PERIOD_NS, self.now_ns)

    def run(self, until_ns, found=0):
        """Do every job that is due until then."""
        while True:
            job = self.begin()
            if job is not None:
                self.end(job, found)
                continue
            next_ns = scan_schedule.next_ns(self.schedule, self.now_ns)
            if next_ns is None or next_ns > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return
            self.now_ns = max(next_ns, self.now_ns + 1)

    def kinds(self):
        return [job for _, job in self.jobs]


def is_due(moment_ns, now_ns):
    return moment_ns is not None and moment_ns <= now_ns


def test_a_new_schedule_asks_for_nothing():
    schedule = ScanSchedule()
    schedule.note_reports(False, PERIOD_NS, BEGIN_NS)
    assert scan_schedule.next_ns(schedule, BEGIN_NS) is None


def test_rescan_all_is_a_full_scan_and_a_search_at_once():
    clock = Clock()
    clock.rescan_all()
    clock.run(clock.now_ns)
    assert clock.kinds() == [FULL, SEARCH]


def test_a_search_under_way_is_not_the_one_that_is_demanded():
    clock = Clock()
    clock.schedule.begin_search(clock.now_ns)
    clock.rescan_all()
    assert not clock.schedule.searching and clock.schedule.search_ns == clock.now_ns


def test_a_full_scan_under_way_does_not_end_the_one_that_is_demanded():
    clock = Clock()
    clock.schedule.begin_scan(True, clock.now_ns)
    clock.rescan_all()
    assert not clock.schedule.full and clock.schedule.full_ns == clock.now_ns


def test_a_birth_is_scanned_for_at_once():
    clock = Clock()
    clock.expect_births()
    assert clock.begin() == SCAN


def test_a_thousand_births_while_a_scan_is_due_cost_one_scan():
    clock = Clock()
    for _ in range(1000):
        clock.expect_births()
    clock.end(clock.begin(), found=1000)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [SCAN]


def test_a_birth_that_is_not_found_is_scanned_for_again_and_at_last_searched_for():
    clock = Clock()
    begin_ns = clock.now_ns
    clock.expect_births()
    clock.run(begin_ns + NS_PER_S)
    assert clock.kinds() == [SCAN] * 5 + [SEARCH]
    waits_ms = [(moment_ns - begin_ns) // NS_PER_MS for moment_ns, _ in clock.jobs]
    assert waits_ms == [0, 4, 20, 84, 340, 340]
    assert [wait_ns // NS_PER_MS for wait_ns in RETRIES_NS] == [4, 16, 64, 256]


def test_a_birth_that_a_search_does_not_find_is_given_up():
    clock = Clock()
    clock.expect_births()
    clock.run(clock.now_ns + SEARCH_PERIOD_NS + NS_PER_S)
    assert clock.kinds().count(SEARCH) == 2, "the first began too soon to prove anything"
    assert clock.schedule.births.count == 0 and clock.schedule.births.first_ns is None


def test_retries_end_when_all_births_are_found():
    clock = Clock()
    clock.expect_births(births=2)
    clock.end(clock.begin(), found=1)
    assert clock.schedule.births.count == 1
    clock.now_ns += RETRIES_NS[0]
    clock.end(clock.begin(), found=1)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [SCAN, SCAN]


def test_births_reported_while_a_scan_is_under_way_are_scanned_for_after_it():
    clock = Clock()
    clock.expect_births(births=0)
    scan = clock.begin()
    clock.expect_births(born_ns=clock.now_ns)
    clock.end(scan)
    assert clock.schedule.births.count == 1
    assert clock.begin() == SCAN


def test_an_event_without_births_is_one_scan():
    clock = Clock()
    clock.expect_births(births=0)
    clock.run(clock.now_ns + NS_PER_S)
    assert clock.kinds() == [SCAN]


def test_what_a_slice_has_found_is_scanned_for_at_once():
    clock = Clock()
    clock.schedule.begin_search(clock.now_ns)
    clock.schedule.slice_ended(True, False, 0, clock.now_ns)
    assert clock.schedule.hidden_found and clock.begin() == SCAN
    assert not clock.schedule.hidden_found and clock.schedule.searching


def test_where_births_are_not_reported_there_is_a_scan_every_second():
    clock = Clock(reported=False)
    clock.run(clock.now_ns + 10 * POLL_NS)
    assert 9 <= clock.kinds().count(SCAN) <= 10


@pytest.mark.parametrize(
    "cost_ns, after_ns",
    [
        (0, PERIOD_NS),
        (SHORT_FULL_SCAN_NS, PERIOD_NS),
        (NS_PER_S, FULL_SHARE * NS_PER_S),
        (PERIOD_NS, FULL_SHARE * PERIOD_NS),
    ],
)
def test_full_scans_cost_no_more_than_their_share(cost_ns, after_ns):
    schedule = Clock().schedule
    for _ in range(2):  # the cost of the first is not counted in the second
        schedule.begin_scan(True, BEGIN_NS)
        schedule.full_cost_ns += cost_ns
        schedule.end_full_scan(PERIOD_NS, BEGIN_NS)
        assert schedule.full_ns == BEGIN_NS + after_ns


def test_without_ip_vs_the_end_of_a_full_scan_begins_no_other():
    schedule = Clock().schedule
    schedule.begin_scan(True, BEGIN_NS)
    schedule.pause()
    schedule.end_full_scan(PERIOD_NS, BEGIN_NS)
    assert scan_schedule.next_ns(schedule, BEGIN_NS) is None


def test_where_births_are_reported_no_scan_is_due_before_the_full_scan():
    clock = Clock()
    clock.run(clock.now_ns + PERIOD_NS - 1)
    assert clock.jobs == []
    clock.run(clock.now_ns + 1)
    assert clock.kinds() == [FULL]


@pytest.mark.parametrize("reported, period_ns", [(True, SEARCH_PERIOD_NS), (False, PERIOD_NS)])
def test_searches_are_as_rare_as_they_may_be(reported, period_ns):
    clock = Clock(reported)
    begin_ns = clock.now_ns
    clock.run(begin_ns + 3 * period_ns + NS_PER_S)
    searches = [moment_ns for moment_ns, job in clock.jobs if job == SEARCH]
    assert [(at_ns - begin_ns) // NS_PER_S for at_ns in searches] == [
        n * period_ns // NS_PER_S for n in (1, 2, 3)
    ]


def storm(clock, seconds, every_ns=NS_PER_MS):
    """Report births that are never found; return the time spent for each kind of job."""
    spent_ns = dict.fromkeys((SCAN, FULL, SEARCH), 0)
    end_ns = clock.now_ns + seconds * NS_PER_S
    while clock.now_ns < end_ns:
        clock.expect_births(born_ns=clock.now_ns)
        job = clock.begin()
        if job is None:
            clock.now_ns += every_ns
            continue
        spent_ns[job] += clock.costs_ns[job]
        clock.end(job)
    return spent_ns


def test_a_storm_of_births_costs_no_more_than_its_share():
    clock = Clock(scan_ns=20 * NS_PER_MS, search_ns=400 * NS_PER_MS)
    spent_ns = storm(clock, 200)
    saved_up_ns = {SCAN: NS_PER_S, SEARCH: 3 * NS_PER_S}
    for job, part in ((SCAN, 25), (SEARCH, 150)):
        assert spent_ns[job] <= 200 * NS_PER_S // part + saved_up_ns[job] + clock.costs_ns[job]


def test_a_storm_of_births_does_not_prevent_searches():
    """A hidden holder is found while other namespaces are created and removed all the time."""
    clock = Clock(scan_ns=5 * NS_PER_MS, search_ns=400 * NS_PER_MS)
    storm(clock, 200)
    for _ in range(3):
        clock.run(clock.now_ns + SEARCH_PERIOD_NS)
    assert clock.kinds().count(SEARCH) >= 3


def test_another_birth_is_scanned_for_within_two_seconds_of_a_storm():
    clock = Clock(reported=False, scan_ns=80 * NS_PER_MS)
    storm(clock, 100)
    moments = [moment_ns for moment_ns, job in clock.jobs if job == SCAN]
    waits_ns = [late - early for early, late in zip(moments[-20:], moments[-19:])]
    assert waits_ns and max(waits_ns) <= 2 * NS_PER_S


def test_a_new_birth_is_scanned_for_again_even_while_an_old_one_waits_for_its_search():
    """An old birth that nothing can find must not use up the retries of later births.

    Its namespace was removed at once, or it was none: copy_net_ns reports more than births.
    """
    clock = Clock(scan_ns=NS_PER_MS)
    clock.expect_births()
    clock.run(clock.now_ns + 2 * NS_PER_S)
    born_ns = clock.now_ns
    clock.expect_births()
    clock.jobs = []
    clock.run(born_ns + 400 * NS_PER_MS)
    visible_ns = born_ns + 3 * NS_PER_MS
    assert [job for moment_ns, job in clock.jobs if moment_ns >= visible_ns]


def test_a_search_does_not_end_the_wait_for_a_birth_just_before_it():
    """A search finds no more than a scan while the namespace has no holder yet."""
    clock = Clock()
    clock.expect_births(born_ns=clock.now_ns)
    clock.now_ns += SETTLED_NS // 2
    clock.schedule.begin_search(clock.now_ns)
    clock.schedule.slice_ended(False, True, 0, clock.now_ns)
    assert clock.schedule.births.count == 1


def test_a_search_under_way_is_not_enough_for_a_birth_that_is_reported_meanwhile():
    """It may have looked at the holder before that had the namespace."""
    clock = Clock()
    clock.schedule.begin_search(clock.now_ns)
    clock.expect_births(born_ns=clock.now_ns)
    for wait_ns in (0, *RETRIES_NS):
        clock.now_ns += wait_ns
        assert clock.begin() == SCAN
        clock.end(SCAN)
    clock.schedule.slice_ended(False, True, 0, clock.now_ns)
    assert clock.begin() == SEARCH


def last_of(schedule, full, now_ns):
    schedule.begin_scan(full, now_ns)
    return schedule.last


@pytest.mark.parametrize(
    "why, born_ns, before_ns, expected",
    [
        ("no birth was reported", None, 50, None),
        ("the first birth that was reported", 70, None, 70),
        ("reported after the scan before", 10**9 + 5, 10**9, 10**9 + 5),
        ("the scan before would have found it", 1, 10**9, 10**9 - VISIBLE_NS),
    ],
)
def test_the_earliest_birth_that_a_scan_can_find(why, born_ns, before_ns, expected):
    schedule = ScanSchedule()
    if before_ns is not None:
        schedule.begin_scan(False, before_ns)
    if born_ns is not None:
        schedule.expect_births(2 * 10**9, 1, born_ns)
    assert last_of(schedule, False, 3 * 10**9).born_ns == expected, why


def test_what_a_search_has_found_may_be_as_old_as_the_search_before():
    schedule = ScanSchedule()
    schedule.begin_search(5 * 10**9)
    schedule.begin_scan(False, 6 * 10**9)
    schedule.begin_search(7 * 10**9)
    schedule.slice_ended(True, True, 0, 8 * 10**9)
    assert last_of(schedule, False, 9 * 10**9).since_ns == 5 * 10**9 - VISIBLE_NS
    assert last_of(schedule, False, 10 * 10**9).since_ns == 9 * 10**9 - VISIBLE_NS


def test_a_birth_that_is_reported_in_the_scan_that_finds_it_keeps_its_time():
    clock = Clock()
    clock.expect_births(births=0)
    scan = clock.begin()
    clock.expect_births(born_ns=7)
    clock.end(scan, found=1)
    assert clock.schedule.last.born_ns == 7 and clock.schedule.births.first_ns is None


def test_the_first_of_several_births_counts():
    clock = Clock()
    clock.expect_births(born_ns=BEGIN_NS - 5)
    clock.expect_births(born_ns=BEGIN_NS - 9)
    clock.expect_births(born_ns=BEGIN_NS - 1)
    clock.expect_births(births=0)
    assert clock.schedule.births.first_ns == BEGIN_NS - 9


@pytest.mark.parametrize("unknown_first", [True, False])
def test_a_birth_whose_time_is_unknown_leaves_all_unknown(unknown_first):
    """It may be earlier than those that are known."""
    clock = Clock()
    moments = [None, clock.now_ns] if unknown_first else [clock.now_ns, None]
    for moment_ns in moments:
        clock.expect_births(born_ns=moment_ns)
    assert clock.schedule.births.first_ns is None
    clock.end(clock.begin(), found=2)
    clock.expect_births(born_ns=clock.now_ns)
    assert clock.schedule.births.first_ns == clock.now_ns


_STEP = st.tuples(
    st.integers(min_value=0, max_value=400 * NS_PER_MS),  # until the next birth
    st.integers(min_value=0, max_value=VISIBLE_NS),  # until it can be found
)


@given(st.lists(_STEP, min_size=1, max_size=15), st.integers(0, 3 * NS_PER_MS))
def test_nothing_that_is_found_was_born_before_the_earliest_birth(steps, scan_ns):
    """Every namespace is found in the time that the retries take, and not later."""
    clock = Clock(scan_ns=scan_ns, search_ns=10 * scan_ns)
    moment_ns = clock.now_ns
    unreported, unfound = [], set()
    for wait_ns, hidden_ns in steps:
        moment_ns += wait_ns
        unreported.append((moment_ns, moment_ns + hidden_ns))
    while clock.now_ns < moment_ns + NS_PER_S:
        while unreported and unreported[0][0] <= clock.now_ns:
            unfound.add(unreported[0])
            clock.expect_births(born_ns=unreported.pop(0)[0])
        job = clock.begin()
        if job is None:
            next_ns = scan_schedule.next_ns(clock.schedule, clock.now_ns)
            next_birth_ns = unreported[0][0] if unreported else next_ns
            clock.now_ns = max(clock.now_ns + 1, min(next_ns, next_birth_ns))
            continue
        if job == SEARCH:
            clock.end(job)
            continue
        found = {one for one in unfound if one[1] <= clock.now_ns}
        unfound -= found
        earliest_ns = clock.schedule.last.born_ns
        assert all(earliest_ns is not None and earliest_ns <= birth_ns for birth_ns, _ in found)
        clock.end(job, len(found))
    assert not unfound


@given(
    st.lists(st.tuples(st.sampled_from(["event", "job", "wait"]), st.integers(0, 5)), max_size=60),
    st.booleans(),
)
def test_whatever_happens_there_is_always_a_next_scan(steps, reported):
    clock = Clock(reported, NS_PER_MS, 20 * NS_PER_MS)
    for what, number in steps:
        if what == "event":
            clock.expect_births(number, clock.now_ns if number % 2 else None)
        elif what == "wait":
            clock.now_ns += number * 100 * NS_PER_MS
        else:
            job = clock.begin()
            if job is not None:
                clock.end(job, number)
        next_ns = scan_schedule.next_ns(clock.schedule, clock.now_ns)
        assert next_ns is not None and next_ns <= clock.now_ns + PERIOD_NS
        births = clock.schedule.births
        assert births.count > 0 or (births.count == 0 and births.first_ns is None)


def test_when_births_are_no_longer_reported_scans_each_second_begin_at_once():
    clock = Clock()
    clock.run(clock.now_ns + 2 * NS_PER_S)
    assert clock.jobs == []
    clock.reported = False
    lost_ns = clock.now_ns
    clock.run(lost_ns + PERIOD_NS)
    assert clock.jobs[0] == (lost_ns + POLL_NS, SCAN)
    assert clock.kinds().count(SCAN) >= 25 and clock.kinds().count(SEARCH) == 1


@pytest.mark.parametrize("searching", [True, False])
def test_what_has_failed_is_repeated_soon(searching):
    clock = Clock()
    if searching:
        clock.schedule.begin_search(clock.now_ns)
        clock.schedule.abort_search(clock.now_ns)
    else:
        clock.schedule.begin_scan(True, clock.now_ns)
        clock.schedule.abort_scan(True, clock.now_ns)
    clock.jobs = []
    clock.run(clock.now_ns + 2 * scan_schedule.AGAIN_NS)
    assert {SEARCH} & set(clock.kinds()) if searching else {SCAN, FULL} & set(clock.kinds())


def test_a_share_saves_up_and_is_paid_back():
    share = Share(10, NS_PER_S)
    assert share.ready_ns(BEGIN_NS) == BEGIN_NS
    share.spend(NS_PER_S + 5, BEGIN_NS)
    assert share.ready_ns(BEGIN_NS) == BEGIN_NS + 50
    assert share.ready_ns(BEGIN_NS + 49) > BEGIN_NS + 49
    assert share.ready_ns(BEGIN_NS + 50) == BEGIN_NS + 50
    late_ns = BEGIN_NS + 10**6 * NS_PER_S
    share.spend(NS_PER_S, late_ns)
    assert share.ready_ns(late_ns) == late_ns, "no more is saved up than the most"
    share.spend(1, late_ns)
    assert share.ready_ns(late_ns) == late_ns + 10


def test_where_births_are_not_reported_nothing_is_scanned_while_nobody_is_forked():
    schedule, now_ns = ScanSchedule(), BEGIN_NS
    schedule.rescan_all(now_ns)

    def scans(pid):
        nonlocal now_ns
        now_ns += POLL_NS
        schedule.note_reports(False, PERIOD_NS, now_ns, pid)
        due = is_due(schedule.scan_ns(now_ns), now_ns)
        if due:
            schedule.begin_scan(False, now_ns)
            schedule.end_scan(False, [], 0, now_ns)
            schedule.note_reports(False, PERIOD_NS, now_ns, pid)
        return due

    assert [scans(pid) for pid in (7, 7, 7, 7, 8, 8, 8, 9)] == [
        False, True, False, False, True, False, False, True,
    ]  # fmt: skip
    assert [scans(None) for _ in range(3)] == [True] * 3, "unknown"


def test_short_scans_where_births_are_not_reported_are_made_each_second():
    clock = Clock(reported=False, scan_ns=NS_PER_MS)
    clock.run(clock.now_ns + 60 * NS_PER_S)
    assert clock.kinds().count(SCAN) >= 58


def test_a_search_that_began_too_early_for_a_birth_is_repeated():
    clock = Clock()
    clock.expect_births()
    clock.schedule.begin_search(clock.now_ns)  # for another one
    clock.schedule.slice_ended(True, True, 0, clock.now_ns)
    clock.jobs = []
    clock.run(clock.now_ns + 5 * NS_PER_S)
    assert SEARCH in clock.kinds()
    assert clock.schedule.births.count == 0, "what that one misses does not exist"


def test_a_namespace_that_is_gone_when_it_is_visited_is_scanned_and_searched_for():
    clock = Clock()
    scan_schedule.expect_again(clock.schedule, [(4, 1)], clock.now_ns)
    clock.run(clock.now_ns + 5 * NS_PER_S)
    assert clock.kinds()[:2] == [SCAN, SEARCH]


@pytest.fixture
def numbered():
    """A schedule that expects births whose inode numbers are known: 1 and 2."""
    clock = Clock()
    clock.expect_births(0, born={1: BEGIN_NS + 10, 2: BEGIN_NS + 20})
    return clock


def test_a_birth_whose_number_is_known_is_found_by_that_number_alone(numbered):
    births = numbered.schedule.births
    numbered.end(numbered.begin(), found=[(4, 7), (4, 2)])
    assert births.count == 1 and births.may_be((4, 1)) and not births.may_be((4, 2))
    assert numbered.schedule.scan_ns(numbered.now_ns) == numbered.now_ns + RETRIES_NS[0]
    assert [births.time_ns((4, n)) for n in (1, 2, 7)] == [BEGIN_NS + 10, BEGIN_NS + 20, None]


def test_two_births_of_one_number_are_one_namespace(numbered):
    """The first one is gone: else the kernel would not have used its number again."""
    numbered.expect_births(0, born={1: BEGIN_NS + 30})
    assert numbered.schedule.births.count == 2
    assert numbered.schedule.births.time_ns((4, 1)) == BEGIN_NS + 30


def test_a_birth_whose_number_is_not_known_may_be_any_other_namespace(numbered):
    births = numbered.schedule.births
    numbered.expect_births(1, BEGIN_NS + 5)
    assert births.count == 3 and births.may_be((4, 7))
    numbered.end(numbered.begin(), found=[(4, 7), (4, 1)])
    assert births.count == 1 and births.first_ns is None and not births.may_be((4, 7))


def test_a_visit_ends_the_wait_for_the_birth_that_it_was_for_and_for_no_later_one(numbered):
    births = numbered.schedule.births
    numbered.expect_births(0, born={1: BEGIN_NS + 30})
    births.visited([((4, 1), BEGIN_NS + 10), ((4, 2), BEGIN_NS + 20), ((4, 3), None)])
    assert births.count == 1 and births.time_ns((4, 1)) == BEGIN_NS + 30
    assert births.time_ns((4, 2)) is None


def test_no_scan_follows_when_visits_have_found_all(numbered):
    births = numbered.schedule.births
    births.report(0, None, numbered.now_ns, looked=True)
    births.visited([((4, 1), BEGIN_NS + 10), ((4, 2), BEGIN_NS + 20)])
    assert births.count == 0 and births.scan_ns is None


def test_a_birth_that_has_lost_its_holder_keeps_its_time(numbered):
    numbered.end(numbered.begin(), found=[(4, 1), (4, 2)])
    assert numbered.schedule.births.count == 0
    scan_schedule.expect_again(numbered.schedule, [(4, 2)], numbered.now_ns)
    assert numbered.schedule.births.may_be((4, 2)) and not numbered.schedule.births.may_be((4, 9))
    assert numbered.schedule.births.count == 1
    assert numbered.schedule.births.time_ns((4, 2)) == BEGIN_NS + 20


def test_a_search_that_misses_a_birth_gives_it_up_and_keeps_its_time(numbered):
    """Something may hold it that is found some day."""
    numbered.run(numbered.now_ns + 5 * NS_PER_S)
    assert SEARCH in numbered.kinds() and numbered.schedule.births.count == 0
    assert numbered.schedule.births.time_ns((4, 1)) == BEGIN_NS + 10
    numbered.schedule.note_reports(False, PERIOD_NS, numbered.now_ns)
    assert numbered.schedule.births.time_ns((4, 1)) is None, "its number may be in use again"


def test_a_storm_of_births_takes_no_more_memory_than_its_share(numbered):
    births = numbered.schedule.births
    numbered.expect_births(0, born={n: BEGIN_NS + n for n in range(100, 100 + TIMES_MAX)})
    assert births.count == TIMES_MAX and births.time_ns((4, 1)) is None
    assert births.time_ns((4, 100)) == BEGIN_NS + 100
