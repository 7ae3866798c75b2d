"""The event loop: deadlines, signals and readable descriptors end its wait."""

import os
import signal

import pytest

from ipvsd.system.event_loop import Loop, monotonic_ns


@pytest.fixture
def loop():
    made = Loop([signal.SIGHUP])
    yield made
    made.close()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def far():
    return monotonic_ns() + 60 * 10**9


def test_a_deadline_ends_the_wait_and_not_too_early(loop):
    deadline_ns = monotonic_ns() + 5 * 10**6
    woken = loop.wait(deadline_ns)
    assert woken == (set(), set())
    assert monotonic_ns() >= deadline_ns


def test_a_deadline_in_the_past_does_not_wait(loop):
    assert loop.wait(0) == (set(), set())


def test_signals_arrive_as_data(loop):
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert loop.wait(far()).signals == {signal.SIGHUP}
    assert loop.wait(0) == (set(), set())


def test_a_readable_descriptor_ends_the_wait_until_it_is_forgotten(loop):
    readable, writable = os.pipe()
    loop.watch(readable)
    os.write(writable, b"x")
    assert loop.wait(far()).descriptors == {readable}
    loop.forget(readable)
    assert loop.wait(0) == (set(), set())
    os.close(readable)
    os.close(writable)
