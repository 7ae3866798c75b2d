"""Temporary namespaces: created by a process of their own, read, and removed without a trace."""

import os
import time

import pytest

from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel import libc
from ipvsd.kernel.netns_create import Born, Failed, create
from ipvsd.model import Found, Reading
from ipvsd.system.worker import Worker
from tests.namespaces.holders import held, identity, wait_until
from tests.namespaces.stand_in import KEY

LIMIT_S = 20


@pytest.fixture
def made():
    """Return a function that has a process create a namespace; all end with the test."""
    workers = []

    def make(read):
        workers.append(Worker(lambda _request, _progress: create(read), "ipvsd-test"))
        workers[-1].submit(None)
        return workers[-1], workers[-1].wait(LIMIT_S)

    yield make
    for worker in workers:
        worker.close()
        wait_until(lambda worker=worker: worker.reap() == 0)


def test_a_temporary_namespace_is_created_and_read_and_leaves_no_trace(made):
    home = identity("/proc/self/ns/net")
    before_ns = int(time.monotonic() * 1e9)
    worker, done = made(lambda: Enforcer().read(KEY))
    born = done.result
    assert isinstance(born, Born) and born.identity != home
    assert before_ns <= born.born_ns <= int(time.monotonic() * 1e9)
    assert born.reading == Reading(Found.VALUE, "64")
    assert held(born.identity) == [f"/proc/{worker.pid}/task/{worker.pid}/ns/net"]
    assert identity("/proc/self/ns/net") == home
    worker.kill()
    wait_until(lambda: not held(born.identity))
    wait_until(lambda: worker.reap() == 0)


def test_a_failure_to_create_one_is_reported(made, monkeypatch):
    def refuse(_flags):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(libc, "unshare", refuse)
    _, done = made(lambda: os._exit(1))
    assert done[:2] == (Failed("Operation not permitted"), "")
