"""The buckets in which durations are counted."""

import pytest

from ipvsd.enforce.histogram import BOUNDS_NS, Histogram
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
)


@pytest.mark.parametrize(
    "why, durations_ns, cumulative",
    [
        ("none", [], [0] * 13),
        ("at a bound: in the bucket below", [BOUNDS_NS[0]], [1] * 13),
        ("just above", [BOUNDS_NS[0] + 1], [0] + [1] * 12),
        ("longer than all", [11 * NS_PER_S], [0] * 12 + [1]),
        ("several", [NS_PER_MS, 3 * NS_PER_MS, 60 * NS_PER_S], [1, 1] + [2] * 10 + [3]),
    ],
)
def test_buckets(why, durations_ns, cumulative):
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram = histogram.plus(duration_ns)
    assert histogram.cumulative == cumulative, why
    assert histogram.sum_ns == sum(durations_ns)
    assert histogram.slowest_ns == max(durations_ns, default=0)
