"""Converts times of day into monotonic ones, except around a step of the clock (pure)."""

from bisect import bisect_left
from typing import List, NamedTuple, Optional, Sequence

from ipvsd.model import NS_PER_MS

# Between two readings, a clock that is only slewed gains or loses less than this. The kernel slews
# by 0.05 % (MAXFREQ, include/linux/timex.h).
_SLEW_DIVISOR = 1000
_SLEW_SPARE_NS = NS_PER_MS


class Reading(NamedTuple):
    """One moment, by both clocks."""

    day_ns: int  # since the epoch
    monotonic_ns: int


class Clock:
    """The times of day of a measurement, in stretches without a step of the clock."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        """Take the readings, in their order. A stretch has at least two."""
        stretches: List[List[Reading]] = []
        for before, after in zip(readings, readings[1:]):
            if _is_step(before, after):
                continue
            if not stretches or stretches[-1][-1] is not before:
                stretches.append([before])
            stretches[-1].append(after)
        self._stretches = [(one, [reading.day_ns for reading in one]) for one in stretches]

    def monotonic_ns(self, from_ns: int, to_ns: int) -> Optional[int]:
        """Return when the time between two times of day began.

        None if the clock was stepped meanwhile, or if it has shown these times twice.
        """
        found = [one for one in self._stretches if one[1][0] <= from_ns <= to_ns <= one[1][-1]]
        touched = [one for one in self._stretches if one[1][0] <= to_ns and from_ns <= one[1][-1]]
        if len(found) != 1 or len(touched) != 1:
            return None
        ((readings, days),) = found
        reading = readings[bisect_left(days, from_ns)]
        return reading.monotonic_ns - (reading.day_ns - from_ns)


def _is_step(before: Reading, after: Reading) -> bool:
    elapsed_ns = after.monotonic_ns - before.monotonic_ns
    gained_ns = after.day_ns - before.day_ns - elapsed_ns
    return abs(gained_ns) > elapsed_ns // _SLEW_DIVISOR + _SLEW_SPARE_NS
