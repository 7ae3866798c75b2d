"""The canary: real throw-away namespaces, and what is made of how they went."""

import errno

import pytest

from ipvsd.daemon.canary import LIMIT_NS, RETRY_NS, Canary
from ipvsd.journal.events import Kind
from ipvsd.kernel import libc
from ipvsd.model import Found, KeyStatus, Namespace, NamespaceResult, Reading, Reason, State
from ipvsd.system.event_loop import Loop, monotonic_ns
from tests.builders import RUN

PERIOD_NS = 3600 * 10**9


class Stage:
    """A canary on a loop of its own; the clock is moved by hand."""

    def __init__(self):
        self.loop = Loop([])
        self.canary = Canary(self.loop, lambda: Reading(Found.VALUE, "1"))
        self.ahead_ns = 0

    def proceed(self):
        """Go on; return the kinds of the news."""
        new_events = self.canary.proceed(PERIOD_NS, monotonic_ns() + self.ahead_ns)
        return [event.kind for event in new_events]

    def make(self):
        """Make one, and wait until it is born."""
        assert self.proceed() == []
        assert self.loop.wait(monotonic_ns() + 20 * 10**9).descriptors
        return self.proceed()

    def visit(self, state, inode=None):
        """Tell the canary what a visit to it, or to another namespace, has come to."""
        device, own_inode = self.canary._born.identity
        namespace = Namespace(device, inode or own_inode, "canary")
        self.canary.see(
            NamespaceResult(namespace, Reason.BIRTH, keys=(KeyStatus(RUN, state, "0"),))
        )
        return self.proceed()

    def close(self):
        self.canary.forget()
        self.loop.close()


@pytest.fixture
def stage():
    made = Stage()
    yield made
    made.close()


def test_one_that_is_set_proves_it_and_is_logged_once(stage):
    assert not stage.canary.proven
    assert stage.make() == []
    assert not stage.canary.proven
    assert stage.visit(State.AS_WANTED) == [Kind.CANARY_SET]
    assert stage.canary.proven and stage.canary.status["fixed_usec"] >= 0
    assert stage.proceed() == []  # the next one is due in an hour
    stage.ahead_ns += PERIOD_NS
    assert stage.make() == []
    assert stage.visit(State.AS_WANTED) == []


@pytest.mark.parametrize(
    "why, state, inode",
    [("it is still at 1", State.DIFFERS, None), ("another one was set", State.AS_WANTED, 7)],
)
def test_one_that_is_not_set_in_time_is_a_failure_until_one_is(stage, why, state, inode):
    stage.make()
    assert stage.visit(state, inode) == [], why
    assert not stage.canary.failed
    stage.ahead_ns += LIMIT_NS
    assert stage.proceed() == [Kind.CANARY_FAILED]
    assert stage.canary.failed and not stage.canary.proven
    assert stage.proceed() == []
    stage.ahead_ns += RETRY_NS
    stage.make()
    assert stage.visit(State.AS_WANTED) == [Kind.CANARY_SET]
    assert stage.canary.proven and not stage.canary.failed


def test_a_failure_that_lasts_is_logged_once(stage):
    told = []
    for _ in range(3):
        stage.make()
        stage.ahead_ns += LIMIT_NS
        told += stage.proceed()
        stage.ahead_ns += RETRY_NS
    assert told == [Kind.CANARY_FAILED]


def test_where_no_namespace_can_be_created_the_guard_continues_without_it(stage, monkeypatch):
    def unshare(_flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(libc, "unshare", unshare)
    assert stage.make() == [Kind.CANARY_FAILED]
    assert stage.canary.proven and not stage.canary.failed
    assert stage.canary.status["error"] == "No space left on device"
    stage.ahead_ns += PERIOD_NS
    assert stage.make() == []


def test_one_that_is_no_longer_wanted_leaves_nothing(stage):
    stage.make()
    stage.canary.forget()
    assert stage.canary.status is None and not stage.canary.proven


def test_one_that_is_interrupted_is_made_again_and_a_proof_stays_one(stage):
    stage.make()
    stage.canary.interrupt()
    assert stage.make() == []
    assert stage.visit(State.AS_WANTED) == [Kind.CANARY_SET]
    stage.canary.interrupt()
    assert stage.canary.proven
    assert stage.proceed() == [] and stage.canary._made is None  # the next one is due in an hour
