"""When a worker hangs: progress, and what the kernel says that it does."""

import pytest

from ipvsd.daemon.hang_watch import (
    LOOK_NS,
    LOOKS_AGAIN_MAX,
    LOOKS_MAX,
    STARVED_LOOKS_MAX,
    HangWatch,
    Verdict,
)


def looks(watch, count, state="S", steps=1, every_ns=LOOK_NS):
    """Return the verdicts of so many looks."""
    return [watch.look(steps, state, watch.next_ns + every_ns - LOOK_NS) for _ in range(count)]


def begun(suspect=False):
    watch = HangWatch()
    watch.begin(1, 0, suspect)
    return watch


@pytest.mark.parametrize("state", ["S", "D"])
def test_who_waits_without_progress_hangs(state):
    assert looks(begun(), LOOKS_MAX, state) == [Verdict.WAIT] * (LOOKS_MAX - 1) + [Verdict.HANGS]


def test_where_it_has_hung_before_less_patience_is_needed():
    verdicts = looks(begun(suspect=True), LOOKS_AGAIN_MAX)
    assert verdicts == [Verdict.WAIT] * (LOOKS_AGAIN_MAX - 1) + [Verdict.HANGS]


def test_slow_is_not_hanging():
    """Each step may take nearly as long as the limit, and the job as long as it likes."""
    watch = begun()
    for steps in range(1, 50):
        assert set(looks(watch, LOOKS_MAX - 1, steps=steps)) == {Verdict.WAIT}


@pytest.mark.parametrize(
    "why, state, count",
    [
        ("stopped by a signal", "T", LOOKS_MAX),
        ("by a debugger", "t", LOOKS_MAX),
        ("without a CPU", "R", STARVED_LOOKS_MAX),
        ("ended", "", LOOKS_MAX),
    ],
)
def test_who_does_not_wait_is_replaced_and_not_to_blame(why, state, count):
    verdicts = looks(begun(), count, state)
    assert verdicts == [Verdict.WAIT] * (count - 1) + [Verdict.REPLACE], why


def test_a_pause_of_the_machine_is_one_look():
    watch = begun()
    assert watch.look(1, "S", 3600 * LOOK_NS) is Verdict.WAIT
    assert watch.look(1, "S", 3600 * LOOK_NS + 1) is Verdict.WAIT, "not yet due"
    assert looks(watch, LOOKS_MAX - 2) == [Verdict.WAIT] * (LOOKS_MAX - 2)
    assert looks(watch, 1) == [Verdict.HANGS]


def test_another_job_begins_with_full_patience():
    watch = begun()
    looks(watch, LOOKS_MAX - 1)
    watch.begin(1, watch.next_ns, suspect=False)
    assert set(looks(watch, LOOKS_MAX - 1)) == {Verdict.WAIT}
