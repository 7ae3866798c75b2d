"""Durations, counted in buckets as Prometheus has them."""

import bisect
from typing import List, NamedTuple, Tuple

from ipvsd.model import NS_PER_MS, NS_PER_S

# From what a quiet machine needs to five periods of estimation; the first run comes after 2 s.
BOUNDS_NS = (
    *(n * NS_PER_MS for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(n * NS_PER_S for n in (1, 2, 10)),
)


class Histogram(NamedTuple):
    """How many durations were at most as long as each bound, and longer than the one before."""

    counts: Tuple[int, ...] = (0,) * (len(BOUNDS_NS) + 1)
    sum_ns: int = 0
    slowest_ns: int = 0

    def plus(self, duration_ns: int) -> "Histogram":
        """Return the histogram with one duration more."""
        counts = list(self.counts)
        counts[bisect.bisect_left(BOUNDS_NS, duration_ns)] += 1
        slowest_ns = max(self.slowest_ns, duration_ns)
        return Histogram(tuple(counts), self.sum_ns + duration_ns, slowest_ns)

    @property
    def cumulative(self) -> List[int]:
        """How many durations were at most as long as each bound, and last how many there were."""
        return [sum(self.counts[: at + 1]) for at in range(len(self.counts))]
