"""Statistics of estimation runs and round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.enforce.prediction import predicted_ns
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure.statistics import (
    Phase,
    Pings,
    ServiceCount,
    Spread,
    apart,
    peaks,
    slow_ns,
    spread,
)
from ipvsd.model import Namespace
from tests.unit.measure.samples import MS, probe


@pytest.mark.parametrize(
    "why, durations, expected",
    [
        ("nothing has no spread", [], None),
        ("a single value", [7], Spread(1, 7, 7, 7, 7, 7)),
        ("of two, the median is the lower", [2, 1], Spread(2, 1, 2, 2, 2, 2)),
        ("ranks of a hundred", range(1, 101), Spread(100, 50, 90, 99, 100, 100)),
        ("ranks of a thousand", range(1, 1001), Spread(1000, 500, 900, 990, 999, 1000)),
    ],
)
def test_spread(why, durations, expected):
    assert spread(durations) == expected, why


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_percentiles_are_among_the_values_and_in_order(durations):
    found = spread(durations)
    ranks = list(found)[1:]
    assert ranks == sorted(ranks) and set(ranks) <= set(durations)
    assert found.max_ns == max(durations)


@pytest.mark.parametrize(
    "services, real_servers, estimators", [(0, 0, 1), (1, 0, 2), (3, 6, 10), (None, None, None)]
)
def test_estimators_are_those_of_services_servers_and_the_namespace(
    services, real_servers, estimators
):
    counts = ServiceCount(Namespace(4, 1, "host"), "1", services, real_servers)
    assert counts.estimators == estimators


def test_the_prediction_for_fifty_thousand_services_fits_what_was_measured():
    low, high = predicted_ns(1 + 50_000, 104)
    assert low < 200 * MS < 268 * MS < high < 275 * MS


@pytest.mark.parametrize(
    "why, working_runs, probes, during",
    [
        ("no runs", [], [(0, 1)], []),
        ("ends before the run", [(10, 5)], [(0, 9)], []),
        ("the run begins under way", [(10, 5)], [(0, 10)], [(0, 10)]),
        ("sent in the middle of the run", [(10, 5)], [(12, 1)], [(12, 1)]),
        ("sent at the end of the run", [(10, 5)], [(15, 1)], [(15, 1)]),
        ("sent after the run", [(10, 5)], [(16, 1)], []),
        ("around the run", [(10, 5)], [(5, 50)], [(5, 50)]),
        ("a long run on another CPU", [(0, 100), (10, 5)], [(50, 1)], [(50, 1)]),
        ("a long run among short ones", [(0, 1), (2, 100), (3, 1)], [(60, 1)], [(60, 1)]),
        (
            "some of several probes",
            [(10, 5), (30, 5)],
            [(0, 1), (12, 1), (20, 1), (31, 1)],
            [(12, 1), (31, 1)],
        ),
    ],
)
def test_probes_that_overlap_a_run(why, working_runs, probes, during):
    pings = Pings(tuple(probe(*one) for one in probes), len(probes))
    found, others = apart(pings, [EstimationRun(start, took, 0) for start, took in working_runs])
    assert [tuple(one) for one in found] == during, why
    assert len(found) + len(others) == len(probes), why


_SPANS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60)), max_size=12)


@given(_SPANS, _SPANS)
def test_overlaps_are_those_that_comparing_all_pairs_finds(working_runs, probes):
    runs = [EstimationRun(start, took, 0) for start, took in working_runs]
    found, _ = apart(Pings(tuple(probe(*one) for one in probes), len(probes)), runs)
    plain = [
        (sent, rtt)
        for sent, rtt in sorted(probes)
        if any(start <= sent + rtt and start + took >= sent for start, took in working_runs)
    ]
    assert [tuple(one) for one in found] == plain


@pytest.mark.parametrize(
    "rtts_ms, limit_ms",
    [([], 1), ([0.05, 0.05, 0.05], 1), ([1, 1, 30], 5)],
    ids=["none", "below a millisecond", "five times the median"],
)
def test_the_limit_above_which_a_round_trip_is_slow(rtts_ms, limit_ms):
    pings = Pings(tuple(probe(0, int(rtt * MS)) for rtt in rtts_ms), len(rtts_ms))
    assert slow_ns(pings) == limit_ms * MS


def test_peaks_keep_the_largest_of_each_slice():
    points = [(0, 1), (1, 9), (2, 3), (50, 4), (99, 5), (100, 6), (-3, 2)]
    assert peaks(points, 100, 2) == [(1, 9), (100, 6)]
    assert peaks([], 100, 2) == []
    assert len(peaks([(i, i) for i in range(5000)], 5000, 1000)) == 1000


def test_a_tick_without_work_is_no_run_and_an_unknown_one_counts():
    runs = (
        EstimationRun(0, 1, 0, True),
        EstimationRun(0, 1, 0, False),
        EstimationRun(0, 1, 0, None),
    )
    assert [one.working for one in Phase("x", 0, 1, runs).working_runs] == [True, None]
