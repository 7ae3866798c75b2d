"""Exposure: its sum, in which no moment counts twice, and the runs that fit into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.enforce import exposure
from ipvsd.enforce.exposure import PERIOD_NS, Exposure
from ipvsd.model import NS_PER_S


@pytest.mark.parametrize(
    "why, wrong_ns, runs",
    [
        ("set at once", 0, 0),
        ("set before the first tick", 2 * NS_PER_S - 1, 0),
        ("the first tick", 2 * NS_PER_S, 1),
        ("still one tick", 4 * NS_PER_S - 1, 1),
        ("half a minute", 30 * NS_PER_S, 15),
    ],
)
def test_the_runs_that_fit_into_an_exposure(why, wrong_ns, runs):
    after = exposure.right(exposure.wrong(Exposure(), 100), 100 + wrong_ns)
    assert after == Exposure(None, wrong_ns, runs), why
    assert PERIOD_NS == 2 * NS_PER_S


def test_wrong_again_does_not_begin_anew():
    once = exposure.wrong(Exposure(), 100)
    assert exposure.wrong(once, 500) == once


def test_right_again_counts_nothing_twice():
    closed = exposure.right(exposure.wrong(Exposure(), 0), 5 * NS_PER_S)
    assert exposure.right(closed, 50 * NS_PER_S) == closed


def test_a_value_that_was_never_wrong_is_not_exposed():
    assert exposure.right(Exposure(), 10**12) == Exposure()


def test_a_bound_in_the_future_counts_nothing():
    assert exposure.right(exposure.wrong(Exposure(), 10), 5) == Exposure(None, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**11)), max_size=20))
def test_the_sum_of_all_stretches_and_of_their_runs(stretches):
    now_ns, after = 0, Exposure()
    for quiet_ns, wrong_ns in stretches:
        now_ns += quiet_ns
        after = exposure.wrong(after, now_ns)
        now_ns += wrong_ns
        after = exposure.right(after, now_ns)
    assert after.since_ns is None
    assert after.closed_ns == sum(wrong_ns for _, wrong_ns in stretches)
    assert after.closed_runs == sum(wrong_ns // PERIOD_NS for _, wrong_ns in stretches)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**10)), max_size=40))
def test_whatever_happens_no_moment_counts_twice(checks):
    now_ns, after = 0, Exposure()
    for is_right, wait_ns in checks:
        now_ns += wait_ns
        before = after
        after = exposure.right(after, now_ns) if is_right else exposure.wrong(after, now_ns)
        assert after.closed_ns >= before.closed_ns
        assert after.closed_runs * PERIOD_NS <= after.closed_ns <= now_ns
