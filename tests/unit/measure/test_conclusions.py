"""The conclusions from estimation runs and round trips."""

import pytest

from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure import conclusions
from ipvsd.measure.statistics import (
    Phase,
    Pings,
)
from ipvsd.model import NS_PER_S
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
            "a thread does not keep the CPU from others",
            [phase("as found", [], [(0, 2), (2000, 4)])._replace(threads={"ipvs-e:0:0": 6})],
            ["estimation ran 2 times, for 2.0 ms in the median and 4.0 ms at most (CPU 3)"],
            ["held a CPU"],
        ),
        (
            "a kernel that does not show what a tick does",
            [phase("as found", [])._replace(runs=(EstimationRun(0, 2 * MS, 3),))],
            ["estimation ticked (whether it did any work cannot be told) 1 time, for 2.0 ms"],
            ["held a CPU"],
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
            ["1 round trip took longer than 1.0 ms, and overlaps an", "likely cause"],
            ["Look next at"],
        ),
        (
            "slow round trips do not overlap runs",
            [phase("as found", [*FAST, 30, 30, 0.1], [(0, 2)])],
            ["2 round trips", "and none of them overlaps", "is not the cause.", "Look next at"],
            ["likely", "of most", "0 of"],
        ),
        (
            "one slow round trip that overlaps none",
            [phase("as found", [*FAST, 30], [(0, 2)])],
            ["1 round trip took longer than 1.0 ms, and does not overlap an estimation run"],
            ["0 of", "of most", "none of them"],
        ),
        (
            "some overlap",
            [phase("as found", [*FAST, 30, 30, 30, 0.1], [(2000, 2)])],
            ["3 round trips took", "and 1 of them overlaps an", "not the cause of most"],
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
    said = "\n".join(conclusions.conclude(phases, {}))
    for words in wanted:
        assert words in said, why
    for words in unwanted:
        assert words not in said, why


def test_the_advice_what_to_examine_next_is_given_once():
    said = conclusions.conclude(
        [phase(name, [*FAST, 30]) for name in ("on", "off", "off again")], {}
    )
    assert said.count(conclusions.NEXT) == 1 and len(conclusions.NEXT) < 400


def mixed(*runs, **fields):
    """Make a phase of runs, each (inode, milliseconds), and a slow round trip between them."""
    took = tuple(
        EstimationRun(i * 2 * NS_PER_S, int(ms * MS), 1, True, inode)
        for i, (inode, ms) in enumerate(runs)
    )
    slow = Pings((*(probe(NS_PER_S, MS // 10) for _ in range(9)), probe(NS_PER_S, 30 * MS)), 10)
    return Phase("as found", 0, 20 * NS_PER_S, took, pings=slow)._replace(**fields)


NAMES = {1: "host", 2: "empty"}


@pytest.mark.parametrize(
    "why, runs, wanted, unwanted",
    [
        (
            "one namespace with services, and more runs of an empty one",
            [(1, 17), (2, 0.02), (2, 0.02), (1, 17), (2, 0.15)],
            [
                "held a CPU 2 times, for 17.0 ms in the median and 17.0 ms at most (CPU 1), in host"
                "; in 1 other namespace for 150 us at most."
            ],
            ["unknown"],
        ),
        ("only empty ones", [(2, 0.02)], ["1 time, for 20 us", "in empty."], ["other"]),
        ("an ended one", [(7, 5)], ["in a namespace that has ended (net:[7])"], ["other"]),
        (
            "not attributable",
            [(None, 17), (None, 0.02)],
            ["in namespaces that are unknown, empty ones perhaps among them"],
            ["host"],
        ),
        (
            "some not attributable",
            [(1, 17), (None, 0.02)],
            ["17.0 ms in the median", "in host; in 1 other namespace"],
            [],
        ),
    ],
)
def test_the_namespace_whose_runs_take_most_time_is_the_headline(why, runs, wanted, unwanted):
    said = conclusions.conclude([mixed(*runs)], NAMES)[0]
    assert all(words in said for words in wanted), (why, said)
    assert not any(words in said for words in unwanted), (why, said)


def own(one):
    return one._replace(pings=one.pings._replace(own_address=True))


@pytest.mark.parametrize(
    "why, phases",
    [
        ("no run", [own(mixed())]),
        ("apart from runs", [own(mixed((1, 5)))]),
        ("nothing slow", [own(phase("as found", FAST, [(0, 2)]))]),
        ("runs unknown", [own(mixed(runs=None))]),
        ("a comparison", [own(phase(name, [*FAST, 30])) for name in ("on", "off", "off again")]),
        (
            "a comparison with a small gain",
            [
                own(phase(name, [*FAST, ms, ms]))
                for name, ms in (("on", 30), ("off", 29), ("x", 29))
            ],
        ),
    ],
)
def test_an_address_of_this_host_never_acquits_estimation(why, phases):
    said = "\n".join(conclusions.conclude(phases, NAMES))
    assert "cannot show that estimation is harmless" in said, why
    assert not any(words in said for words in ("not the cause", "not make", "is not what")), said
    assert conclusions.NEXT not in said


def test_an_address_of_this_host_can_convict_estimation():
    phases = [own(phase("as found", [0.1, 30, *FAST], [(5, 30)]))]
    assert "likely cause" in "\n".join(conclusions.conclude(phases, NAMES))


@pytest.mark.parametrize("why, fields", [("lost", {"lost": 3}), ("not seen", {"runs": None})])
def test_runs_that_are_not_known_acquit_nothing(why, fields):
    for one in (mixed(**fields), mixed((1, 5), **fields)):
        said = "\n".join(conclusions.conclude([one], NAMES))
        assert "is unknown, since" in said, why
        assert "not the cause" not in said and "no estimation run did any work" not in said
        assert conclusions.NEXT not in said


def test_runs_of_namespaces_that_were_not_selected_may_be_the_cause():
    said = "\n".join(conclusions.conclude([mixed(others_ran=True)], NAMES))
    assert "estimation in the selected namespaces is not the cause" in said


@pytest.mark.parametrize(
    "why, busy, runs, warned",
    [
        ("idle", {0: 0.1, 1: 0.3}, [], False),
        ("one CPU is busy", {0: 0.1, 1: 0.97}, [], True),
        ("unknown", None, [], False),
        ("by estimation itself", {0: 0.1, 1: 0.85}, [(1, 300), (1, 300), (1, 1400)], False),
    ],
)
def test_other_load_is_named_where_round_trips_are_late(why, busy, runs, warned):
    said = "\n".join(conclusions.conclude([mixed(*runs, cpu_busy=busy)], NAMES))
    words = "1 of 2 CPUs did other work for 80 % of the time or more (CPU 1: 97 %)"
    assert (words in said) is warned, why
    assert warned or "other work" not in said, why


def test_load_is_not_named_where_no_round_trip_is_late():
    busy = phase("as found", FAST)._replace(cpu_busy={0: 1.0})
    assert "other work" not in "\n".join(conclusions.conclude([busy], NAMES))


def test_round_trips_over_a_step_of_the_clock_are_said_to_be_left_out():
    pings = Pings((probe(0, MS),), 9, discarded=2)
    said = conclusions.conclude([Phase("as found", 0, 1, (), pings=pings)], NAMES)
    assert any(one.startswith("2 round trips left out: the clock") for one in said)
    none = Pings((), 2, discarded=2)
    said = "\n".join(conclusions.conclude([Phase("as found", 0, 1, (), pings=none)], NAMES))
    assert "was answered" not in said and "2 round trips left out" in said
