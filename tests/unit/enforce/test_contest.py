"""Contests: how many changes of a value make one, and how long the guard waits to set it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.enforce.contest import AGAIN_NS, CONTESTED_AFTER, QUIET_NS, Contest
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


def test_an_uncontested_value_is_never_left_alone():
    contest, now_ns = set_again(CONTESTED_AFTER - 1)
    assert not any(contest.waits(contest_policy, now_ns) for contest_policy in ContestPolicy)


@pytest.mark.parametrize("times", [CONTESTED_AFTER, 100, 10**6])
def test_a_contested_value_is_left_alone_for_a_second_however_long_that_goes_on(times):
    contest = Contest(times, 7)
    assert contest.waits(ContestPolicy.ENFORCE, 7 + AGAIN_NS - 1)
    assert not contest.waits(ContestPolicy.ENFORCE, 7 + AGAIN_NS)
    assert contest.waits(ContestPolicy.ENFORCE, 7 + AGAIN_NS, pause_ns=3 * AGAIN_NS)


def test_with_yield_a_contested_value_is_left_alone_for_good():
    contest, now_ns = set_again(CONTESTED_AFTER)
    assert contest.waits(ContestPolicy.YIELD, now_ns + 10**6 * NS_PER_S)


def test_a_change_now_and_then_is_no_contest():
    contest, _ = set_again(100, every_ns=QUIET_NS + 2 * PERIOD_NS)
    assert contest.times == 1


def test_a_change_at_every_check_is_a_contest_however_long_the_period():
    for period_ns in (NS_PER_S, PERIOD_NS, 3600 * NS_PER_S):
        contest, _ = set_again(CONTESTED_AFTER, period_ns + NS_PER_S, period_ns)
        assert contest.contested


@given(st.integers(0, 100), st.integers(0, 3600 * NS_PER_S))
def test_a_contest_is_over_after_a_minute_and_two_checks(times, quiet_ns):
    is_over = quiet_ns >= QUIET_NS + 2 * PERIOD_NS
    assert Contest(times, last_ns=7).over(7 + quiet_ns, PERIOD_NS) is is_over
