"""Contests: how many changes of a value make one, and how long the guard waits to set it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.enforce.contest import (
    BACK_OFF_MAX_NS,
    BACK_OFF_MIN_NS,
    CONTESTED_AFTER,
    QUIET_MIN_NS,
    Contest,
)
from ipvsd.model import NS_PER_S, ContestPolicy

PERIOD_NS = 30 * NS_PER_S


def set_again(times, every_ns=0, period_ns=PERIOD_NS):
    contest, now_ns = Contest(), 10**6 * NS_PER_S
    for _ in range(times):
        now_ns += every_ns
        contest = contest.set_again(now_ns, period_ns)
    return contest, now_ns


@pytest.mark.parametrize("times, contested", [(0, False), (2, False), (3, True), (9, True)])
def test_three_times_is_a_contest(times, contested):
    contest, _ = set_again(times)
    assert contest.contested is contested


@pytest.mark.parametrize(
    "why, times, seconds",
    [
        ("no contest", 2, 0),
        ("the first wait", 3, 1),
        ("doubled", 4, 2),
        ("doubled each time", 8, 32),
        ("at most five minutes", 12, 300),
        ("never longer", 1000, 300),
    ],
)
def test_the_back_off(why, times, seconds):
    assert Contest(times).back_off_ns == seconds * NS_PER_S, why


def test_an_uncontested_value_is_never_left_alone():
    contest, now_ns = set_again(CONTESTED_AFTER - 1)
    assert not any(contest.waits(contest_policy, now_ns) for contest_policy in ContestPolicy)


def test_a_contested_value_is_left_alone_until_the_back_off_is_over():
    contest, now_ns = set_again(CONTESTED_AFTER)
    assert contest.waits(ContestPolicy.ENFORCE, now_ns + BACK_OFF_MIN_NS - 1)
    assert not contest.waits(ContestPolicy.ENFORCE, now_ns + BACK_OFF_MIN_NS)


def test_with_yield_a_contested_value_is_left_alone_for_good():
    contest, now_ns = set_again(CONTESTED_AFTER)
    assert contest.waits(ContestPolicy.YIELD, now_ns + 10**6 * NS_PER_S)


def test_a_change_now_and_then_is_no_contest():
    contest, _ = set_again(100, every_ns=QUIET_MIN_NS + 2 * PERIOD_NS)
    assert contest.times == 1


def test_a_change_at_every_check_is_a_contest_however_long_the_period():
    for period_ns in (NS_PER_S, PERIOD_NS, 3600 * NS_PER_S):
        contest, _ = set_again(CONTESTED_AFTER, period_ns + NS_PER_S, period_ns)
        assert contest.contested


@given(st.integers(0, 100), st.integers(0, 3600 * NS_PER_S))
def test_a_contest_is_over_only_after_twice_its_back_off(times, quiet_ns):
    contest = Contest(times, last_ns=7)
    if contest.over(7 + quiet_ns, PERIOD_NS):
        assert quiet_ns >= 2 * contest.back_off_ns + 2 * PERIOD_NS
        assert quiet_ns >= QUIET_MIN_NS


@given(st.integers(min_value=CONTESTED_AFTER, max_value=200))
def test_the_back_off_never_shrinks_and_has_an_end(times):
    assert BACK_OFF_MIN_NS <= Contest(times).back_off_ns <= BACK_OFF_MAX_NS
    assert Contest(times).back_off_ns <= Contest(times + 1).back_off_ns


def test_a_value_that_is_changed_each_second_costs_few_writes_a_day():
    contest, now_ns = Contest(), 1000 * NS_PER_S
    writes, end_ns = 0, now_ns + 86400 * NS_PER_S
    while now_ns < end_ns:
        if not contest.waits(ContestPolicy.ENFORCE, now_ns):
            contest, writes = contest.set_again(now_ns, PERIOD_NS), writes + 1
        now_ns += NS_PER_S
    assert writes < 310
