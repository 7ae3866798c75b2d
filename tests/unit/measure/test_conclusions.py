"""The conclusions from estimation runs and round trips."""

import pytest

from ipvsd.measure import conclusions
from ipvsd.measure.statistics import (
    Phase,
    Pings,
)
from ipvsd.model import NS_PER_S, EstimationRun
from tests.unit.measure.samples import MS, probe


def phase(name, rtts_ms, working_runs=(), runs=True, every_ms=10):
    """Make a phase with a probe each 10 ms and estimation runs at some of these moments."""
    probes = tuple(probe(i * every_ms * MS, int(rtt * MS)) for i, rtt in enumerate(rtts_ms))
    took = tuple(EstimationRun(int(at * MS), int(ms * MS), 3, True) for at, ms in working_runs)
    return Phase(
        name,
        0,
        20 * NS_PER_S,
        took if runs else None,
        pings=Pings(probes, len(probes)) if rtts_ms else None,
    )


FAST = [0.1] * 200


@pytest.mark.parametrize(
    "why, phases, wanted, unwanted",
    [
        ("no work at all", [phase("as found", [])], ["no estimation run did any work"], ["likely"]),
        (
            "the CPU that runs hold, and for how long",
            [phase("as found", [], [(0, 2), (2000, 4)])],
            ["held a CPU 2 times, for 2.0 ms in the median and 4.0 ms at most (CPU 3)"],
            [],
        ),
        (
            "one run is singular",
            [phase("as found", [], [(0, 2)])],
            ["held a CPU 1 time, for 2.0 ms"],
            ["times"],
        ),
        (
            "slow round trips overlap runs",
            [phase("as found", [0.1, 30, *FAST, 0.1], [(5, 30)])],
            ["1 of 1 round trip that took longer than 1.0 ms overlaps an", "likely cause"],
            ["Look next at"],
        ),
        (
            "slow round trips do not overlap runs",
            [phase("as found", [*FAST, 30, 30, 0.1], [(0, 2)])],
            ["0 of 2 round trips", "not the cause of most", "Look next at"],
            ["likely"],
        ),
        (
            "slow without estimation",
            [phase("as found", [*FAST, 30])],
            ["1 round trip took longer", "estimation is not the cause", "Look next at"],
            ["likely"],
        ),
        (
            "no slow round trip",
            [phase("as found", FAST)],
            ["no round trip took longer"],
            ["Look next at"],
        ),
        (
            "runs unknown: no guess",
            [phase("as found", [*FAST, 30], runs=False)],
            ["whether estimation is the cause is unknown"],
            ["Look next at", "likely", "not the cause"],
        ),
        (
            "no probe is answered",
            [Phase("as found", 0, 1, (), pings=Pings((), 9))],
            ["none of 9 probes was answered"],
            ["Look next at"],
        ),
        (
            "switching it off helps",
            [
                phase("on", [*FAST, 30, 31], [(1990, 40)]),
                phase("off", [*FAST, 1, 1]),
                phase("off again", [*FAST, 1, 0.9]),
            ],
            ["takes 31.0 ms and longer with estimation on, 1.0 ms and 1.0 ms", "it off helps"],
            ["no larger than that of two equal phases"],
        ),
        (
            "two equal phases differ as much",
            [
                phase("on", [*FAST, 30, 31], [(1990, 40)]),
                phase("off", [*FAST, 1, 1]),
                phase("off again", [*FAST, 28, 29]),
            ],
            ["no larger than that of two equal phases", "Look next at"],
            ["helps"],
        ),
        (
            "better, but two equal phases differ by more",
            [
                phase("on", [*FAST, 40, 40], [(1990, 40)]),
                phase("off", [*FAST, 5, 5]),
                phase("off again", [*FAST, 30, 30]),
            ],
            ["no larger than that of two equal phases"],
            ["helps"],
        ),
        (
            "as bad when off",
            [
                phase("on", [*FAST, 30, 31], [(0, 1)]),
                phase("off", [*FAST, 30, 31]),
                phase("off again", [*FAST, 30, 31]),
            ],
            [
                "estimation does not make them slower",
                "off: 2 round trips",
                "is not the cause",
                "Look next at",
            ],
            ["helps"],
        ),
        (
            "a little better is not worth a decision",
            [
                phase("on", FAST + [30] * 2),
                phase("off", FAST + [29] * 2),
                phase("x", FAST + [29] * 2),
            ],
            ["no larger than that of two equal phases"],
            ["helps"],
        ),
    ],
)
def test_verdict(why, phases, wanted, unwanted):
    said = "\n".join(conclusions.conclude(phases))
    for words in wanted:
        assert words in said, why
    for words in unwanted:
        assert words not in said, why


def test_the_advice_what_to_examine_next_is_given_once():
    said = conclusions.conclude([phase(name, [*FAST, 30]) for name in ("on", "off", "off again")])
    assert said.count(conclusions.NEXT) == 1 and len(conclusions.NEXT) < 400
