"""Looks at the tasks that have caused births: soon, several times, and within a share of a CPU."""

from ipvsd.daemon.expected_births import LOOKED_NS, RETRIES_NS
from ipvsd.daemon.looks import TASKS_MAX, WAIT_NS, Looks
from ipvsd.daemon.scan_schedule import ScanSchedule
from ipvsd.model import NS_PER_MS, NS_PER_S

NOW_NS = 1000 * NS_PER_S


def test_what_is_not_found_is_looked_for_again_and_then_scanned_for():
    looks, now_ns = Looks(), NOW_NS
    looks.report({7: NOW_NS - 5}, NOW_NS)
    moments = []
    while looks.next_ns(now_ns) is not None:
        now_ns = looks.next_ns(now_ns)
        moments.append(now_ns)
        assert looks.begin(now_ns) == {7: NOW_NS - 5}
        looks.end(True, 0, now_ns)
    assert moments == [NOW_NS + sum(RETRIES_NS[:number]) for number in range(len(RETRIES_NS) + 1)]


def test_what_is_found_is_not_looked_for_again():
    looks = Looks()
    looks.report({7: NOW_NS}, NOW_NS)
    looks.begin(NOW_NS)
    looks.end(False, 0, NOW_NS)
    assert looks.next_ns(NOW_NS) is None
    looks.report({}, NOW_NS)  # a mount
    assert looks.next_ns(NOW_NS) == NOW_NS and looks.begin(NOW_NS) == {}


def test_a_report_during_a_look_asks_for_another_one():
    looks = Looks()
    looks.report({7: NOW_NS}, NOW_NS)
    looks.begin(NOW_NS)
    looks.report({8: NOW_NS + 1}, NOW_NS + 1)
    looks.end(True, 0, NOW_NS + 2)
    assert looks.next_ns(NOW_NS + 2) == NOW_NS + 2
    assert looks.begin(NOW_NS + 2) == {7: NOW_NS, 8: NOW_NS + 1}


def test_no_birth_waits_long_whatever_was_spent():
    looks, now_ns, waits_ns = Looks(), NOW_NS, []
    for number in range(100):
        looks.report({number: now_ns}, now_ns)
        waits_ns.append(looks.next_ns(now_ns) - now_ns)
        now_ns = looks.next_ns(now_ns)
        looks.begin(now_ns)
        for _ in range(20):  # and the loop goes on to spend, in many cycles
            now_ns += 20 * NS_PER_MS
            looks.share.spend(20 * NS_PER_MS, now_ns)
        looks.end(False, 20 * NS_PER_MS, now_ns)
    assert max(waits_ns) <= WAIT_NS and sum(waits_ns[-50:]) > 0


def test_old_and_too_many_tasks_are_left_to_a_scan():
    looks = Looks()
    looks.report({7: NOW_NS}, NOW_NS)
    later_ns = NOW_NS + LOOKED_NS
    assert 7 in looks.begin(later_ns), "each has one look, however late"
    looks.report(dict.fromkeys(range(100, 100 + 2 * TASKS_MAX), later_ns), later_ns)
    found = looks.begin(later_ns)
    assert len(found) == TASKS_MAX and 7 not in found and 100 + 2 * TASKS_MAX - 1 in found


def test_a_scan_follows_only_where_looks_have_not_found_all():
    for found in (1, 0):
        schedule = ScanSchedule()
        schedule.rescan_all(NOW_NS)
        schedule.begin_scan(True, NOW_NS)
        schedule.end_scan(True, [], 0, NOW_NS)
        schedule.expect_births(NOW_NS, 1, NOW_NS, {7: NOW_NS})
        assert schedule.scan_ns(NOW_NS) == NOW_NS + LOOKED_NS
        schedule.births.found([(4, 1)] * found)
        assert schedule.scan_ns(NOW_NS) == (None if found else NOW_NS + LOOKED_NS)
