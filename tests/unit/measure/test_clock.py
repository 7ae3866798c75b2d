"""Times of day become monotonic times, except around a step of the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.measure.clock import Clock, Reading
from ipvsd.model import NS_PER_MS, NS_PER_S

MS = NS_PER_MS
DAY_NS = 1_764_012_345 * NS_PER_S


def readings(*steps_ms):
    """Return readings 250 ms apart; a step of the clock lies before some of them."""
    day_ns, found = DAY_NS, [Reading(DAY_NS, 0)]
    for number, step_ms in enumerate(steps_ms, 1):
        day_ns += (250 + step_ms) * MS
        found.append(Reading(day_ns, number * 250 * MS))
    return found


@pytest.mark.parametrize(
    "why, steps_ms, from_ms, to_ms, expected_ms",
    [
        ("no step", [0, 0, 0], 300, 310, 300),
        ("no step, over several readings", [0, 0, 0], 100, 700, 100),
        ("before the first reading", [0, 0], -1, 10, None),
        ("after the last reading", [0, 0], 490, 510, None),
        ("forward: before", [0, 1000, 0], 240, 250, 240),
        ("forward: the step is within this time", [0, 1000, 0], 240, 1510, None),
        ("forward: between the readings around the step", [0, 1000, 0], 700, 710, None),
        ("forward: after", [0, 1000, 0], 1600, 1610, 600),
        ("back: before, and not shown twice", [0, 0, -300, 0], 100, 110, 100),
        ("back: shown twice", [0, 0, -300, 0], 470, 480, None),
        ("back: after, and not shown twice", [0, 0, -300, 0, 0], 600, 610, 900),
        ("back: touches what is shown twice", [0, 0, -300, 0, 0], 440, 460, None),
        ("slewed by 500 ppm", [0.125, 0.125, 0.125], 500.125, 510, 500),
    ],
)
def test_a_time_of_day(why, steps_ms, from_ms, to_ms, expected_ms):
    clock = Clock(readings(*steps_ms))
    found = clock.monotonic_ns(DAY_NS + int(from_ms * MS), DAY_NS + int(to_ms * MS))
    if expected_ms is None:
        assert found is None, why
    else:
        assert abs(found - expected_ms * MS) < MS, why


@given(st.lists(st.integers(-2000, 2000), max_size=8), st.integers(0, 9000), st.integers(0, 500))
def test_a_time_that_is_converted_was_shown_once(steps_ms, at_ms, length_ms):
    """A time lies between the readings around it, and nothing converts to a wrong stretch."""
    found = readings(*steps_ms)
    from_ns, to_ns = DAY_NS + at_ms * MS, DAY_NS + (at_ms + length_ms) * MS
    monotonic_ns = Clock(found).monotonic_ns(from_ns, to_ns)
    if monotonic_ns is not None:
        assert found[0].monotonic_ns <= monotonic_ns <= found[-1].monotonic_ns
        around = [one for one in found if one.monotonic_ns <= monotonic_ns]
        assert abs(around[-1].day_ns + monotonic_ns - around[-1].monotonic_ns - from_ns) <= 2 * MS
