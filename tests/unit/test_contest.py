"""Somebody who keeps changing a value back: how many times is enough, and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.core.contest import (
    BACK_OFF_MAX_NS,
    BACK_OFF_MIN_NS,
    QUIET_MIN_NS,
    STRIKES,
    Fight,
)
from ipvsd.core.model import NS_PER_S, Contest

PERIOD_NS = 30 * NS_PER_S


def struck(times, every_ns=0, period_ns=PERIOD_NS):
    fight, now_ns = Fight(), 10**6 * NS_PER_S
    for _ in range(times):
        now_ns += every_ns
        fight = fight.struck(now_ns, period_ns)
    return fight, now_ns


@pytest.mark.parametrize("strikes, contested", [(0, False), (2, False), (3, True), (9, True)])
def test_three_times_is_a_contest(strikes, contested):
    fight, _ = struck(strikes)
    assert fight.contested is contested


@pytest.mark.parametrize(
    "why, strikes, seconds",
    [
        ("no contest", 2, 0),
        ("the first wait", 3, 1),
        ("doubled", 4, 2),
        ("and again", 8, 32),
        ("at most five minutes", 12, 300),
        ("for ever", 1000, 300),
    ],
)
def test_the_back_off(why, strikes, seconds):
    assert Fight(strikes).back_off_ns == seconds * NS_PER_S, why


def test_an_uncontested_value_is_never_left_alone():
    fight, now_ns = struck(STRIKES - 1)
    assert not any(fight.leave_alone(contest, now_ns) for contest in Contest)


def test_a_contested_value_is_left_alone_until_the_back_off_is_over():
    fight, now_ns = struck(STRIKES)
    assert fight.leave_alone(Contest.ENFORCE, now_ns + BACK_OFF_MIN_NS - 1)
    assert not fight.leave_alone(Contest.ENFORCE, now_ns + BACK_OFF_MIN_NS)


def test_who_yields_leaves_it_alone_for_good():
    fight, now_ns = struck(STRIKES)
    assert fight.leave_alone(Contest.YIELD, now_ns + 10**6 * NS_PER_S)


def test_a_change_now_and_then_is_no_contest():
    fight, _ = struck(100, every_ns=QUIET_MIN_NS + 2 * PERIOD_NS)
    assert fight.strikes == 1


def test_a_change_at_every_look_is_a_contest_however_long_the_period():
    for period_ns in (NS_PER_S, PERIOD_NS, 3600 * NS_PER_S):
        fight, _ = struck(STRIKES, period_ns + NS_PER_S, period_ns)
        assert fight.contested


@given(st.integers(0, 100), st.integers(0, 3600 * NS_PER_S))
def test_a_contest_is_over_only_after_twice_its_back_off(strikes, quiet_ns):
    fight = Fight(strikes, last_ns=7)
    if fight.over(7 + quiet_ns, PERIOD_NS):
        assert quiet_ns >= 2 * fight.back_off_ns + 2 * PERIOD_NS
        assert quiet_ns >= QUIET_MIN_NS


@given(st.integers(min_value=STRIKES, max_value=200))
def test_the_back_off_never_shrinks_and_has_an_end(strikes):
    assert BACK_OFF_MIN_NS <= Fight(strikes).back_off_ns <= BACK_OFF_MAX_NS
    assert Fight(strikes).back_off_ns <= Fight(strikes + 1).back_off_ns


def test_an_enemy_who_answers_at_once_costs_few_writes_a_day():
    fight, now_ns = Fight(), 1000 * NS_PER_S
    writes, end_ns = 0, now_ns + 86400 * NS_PER_S
    while now_ns < end_ns:
        if not fight.leave_alone(Contest.ENFORCE, now_ns):
            fight, writes = fight.struck(now_ns, PERIOD_NS), writes + 1
        now_ns += NS_PER_S
    assert writes < 310
