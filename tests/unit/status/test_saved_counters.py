"""The counters outlive the daemon; the time without one is reported, and damage is refused."""

import json

import pytest

from ipvsd.enforce.histogram import Histogram
from ipvsd.enforce.memory import Memory, Tally
from ipvsd.model import NS_PER_MS, NS_PER_S
from ipvsd.status import saved_counters, shapes
from ipvsd.system import json_shape

END_NS = 1000 * NS_PER_S
MEMORY = Memory(
    loads=3,
    events_lost=2,
    tally=Tally(
        writes={"birth": 4, "load": 3},
        failures=1,
        exposed_ns=70 * NS_PER_MS,
        runs_leaked=5,
        reactions=Histogram().plus(3 * NS_PER_MS).plus(40 * NS_PER_S).plus(3 * NS_PER_MS),
        since="2026-11-28T10:00:00.000Z",
        not_counted_ns=NS_PER_S,
    ),
)


def saved():
    text = json.dumps(saved_counters.save(MEMORY, END_NS))
    return json_shape.load(text, shapes.SAVED)


def test_what_is_restored_is_what_was_saved_and_the_time_without_a_daemon():
    memory = saved_counters.restore(saved(), END_NS + 7 * NS_PER_S)
    tally = memory.tally
    assert tally == MEMORY.tally._replace(not_counted_ns=8 * NS_PER_S)
    assert (memory.loads, memory.events_lost) == (3, 2)
    assert memory.module is None and memory.namespaces == {}, "nothing else is remembered"


@pytest.mark.parametrize(
    "why, damage",
    [
        ("of another boot", lambda found: found.update(monotonic_usec=10**15)),
        ("other bounds", lambda found: found["counters"]["reactions"].update(buckets=[(1, 2)])),
        (
            "counts that fall",
            lambda found: found["counters"]["reactions"].update(count=-5),
        ),
    ],
)
def test_what_cannot_be_of_this_boot_and_version_is_refused(why, damage):
    found = saved()
    damage(found)
    with pytest.raises(ValueError):
        saved_counters.restore(found, END_NS)
