"""Temporary namespaces: created in a thread of their own, read, and removed without a trace."""

import os
import threading
import time

import pytest

from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel import libc, netns_create
from ipvsd.kernel.netns_create import Born, Failed, TemporaryNamespace
from ipvsd.model import Found, Reading
from tests.namespaces.holders import held, identity, wait_until
from tests.namespaces.stand_in import KEY
from tests.time_limits import in_alarm


def made(read):
    temporary = TemporaryNamespace(read)
    new_events = []
    wait_until(lambda: new_events.append(temporary.take()) or new_events[-1])
    return temporary, new_events[-1]


def test_a_temporary_namespace_is_created_and_read_and_leaves_no_trace():
    home = identity("/proc/self/ns/net")
    before_ns = int(time.monotonic() * 1e9)
    temporary, born = made(lambda: Enforcer().read(KEY))
    assert isinstance(born, Born) and born.identity != home
    assert before_ns <= born.born_ns <= int(time.monotonic() * 1e9)
    assert born.reading == Reading(Found.VALUE, "64")
    assert len(held(born.identity)) == 1, "its own thread"
    assert identity("/proc/self/ns/net") == home
    assert temporary.take() is None
    temporary.close()
    wait_until(lambda: not held(born.identity))


def test_a_hundred_temporary_namespaces_leave_nothing():
    """A fixture of all tests counts threads and descriptors."""
    for _ in range(100):
        temporary, _ = made(lambda: Reading(Found.NO_TREE))
        temporary.close()


def test_one_that_is_closed_at_once_leaves_nothing():
    for _ in range(20):
        TemporaryNamespace(lambda: Reading(Found.NO_TREE)).close()


def test_a_failure_to_create_one_is_reported(monkeypatch):
    def refuse(_flags):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(libc, "unshare", refuse)
    temporary, failed = made(lambda: pytest.fail("read"))
    assert failed == Failed("Operation not permitted")
    temporary.close()


def test_a_thread_that_cannot_start_costs_no_descriptor(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RuntimeError):
        TemporaryNamespace(lambda: Reading(Found.NO_TREE))
    assert len(os.listdir("/proc/self/fd")) == before


def test_close_does_not_wait_for_a_kernel_that_creates_none_for_a_while(monkeypatch):
    """Registering a module in thousands of namespaces delays it; the thread ends by itself."""
    may_go_on, begun = threading.Event(), threading.Event()

    def unshare(flags):
        begun.set()
        may_go_on.wait()
        return real(flags)

    real = libc.unshare
    monkeypatch.setattr(libc, "unshare", unshare)
    monkeypatch.setattr(netns_create, "_END_S", 0.05)
    before = threading.active_count()
    made = TemporaryNamespace(lambda: Reading(Found.NO_TREE))
    begun.wait()
    with in_alarm():
        made.close()
    assert threading.active_count() == before + 1
    may_go_on.set()  # a fixture of all tests checks that nothing is left over
    wait_until(lambda: threading.active_count() == before)
