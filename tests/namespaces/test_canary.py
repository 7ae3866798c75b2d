"""The canary: real temporary namespaces, and which result counts as a proof."""

import errno
import os
import signal

import pytest

from ipvsd.daemon.canary import LIMIT_NS, RETRY_NS, Canary
from ipvsd.journal.events import Kind
from ipvsd.kernel import libc
from ipvsd.model import Found, KeyStatus, Namespace, NamespaceResult, Owner, Reading, Reason, State
from ipvsd.system.event_loop import Loop, monotonic_ns
from tests.builders import RUN
from tests.namespaces.holders import held, identity, wait_until

PERIOD_NS = 3600 * 10**9


class Stage:
    """A canary on a loop of its own; the clock is moved by hand."""

    def __init__(self):
        self.loop = Loop([])
        self.reading = Reading(Found.VALUE, "1")
        self.canary = Canary(self.loop, lambda: self.reading)
        self.ahead_ns = 0
        self.period_ns = PERIOD_NS

    def proceed(self):
        """Let the canary proceed; return the kinds of the events."""
        new_events = self.canary.proceed(self.period_ns, monotonic_ns() + self.ahead_ns)
        self.messages = [event.message for event in new_events]
        return [event.kind for event in new_events]

    def make(self):
        """Let the canary create its namespace, and wait for the birth."""
        assert self.proceed() == []
        assert self.loop.wait(monotonic_ns() + 20 * 10**9).descriptors
        return self.proceed()

    def visit(self, state, inode=None):
        """Report the result of a visit to the canary's namespace, or to another one."""
        device, own_inode = self.canary.identity
        namespace = Namespace(device, inode or own_inode, "x")
        result = NamespaceResult(namespace, Reason.BIRTH, keys=(KeyStatus(RUN, state, "0"),))
        assert self.canary.see(result) is (inode is None)
        return self.proceed()

    def close(self):
        self.canary.close()
        self.loop.close()


@pytest.fixture
def stage():
    made = Stage()
    yield made
    made.close()


def test_a_new_namespace_that_is_off_by_another_key_was_found_and_not_set(stage):
    stage.make()
    assert stage.visit(State.OFF_OTHERWISE) == [Kind.CANARY_SET]
    assert "read 1 and was found as wanted by the guard" in stage.messages[0]


def test_a_canary_that_is_set_is_a_proof_and_is_logged_once(stage):
    assert not stage.canary.exists
    assert stage.make() == []
    assert stage.canary.exists and not stage.canary.set
    assert stage.visit(State.AS_WANTED) == [Kind.CANARY_SET]
    assert stage.canary.set and not stage.canary.exists and stage.canary.status["fixed_usec"] >= 0
    assert stage.proceed() == []  # the next one is due in an hour
    stage.ahead_ns += PERIOD_NS
    assert stage.make() == []
    assert stage.visit(State.AS_WANTED) == []


@pytest.mark.parametrize(
    "why, state, inode",
    [
        ("the canary is still at 1", State.DIFFERS, None),
        ("another namespace was set", State.AS_WANTED, 7),
    ],
)
def test_a_canary_that_is_not_set_in_time_is_a_failure_until_one_is_set(stage, why, state, inode):
    stage.make()
    assert stage.visit(state, inode) == [], why
    assert not stage.canary.failed
    stage.ahead_ns += LIMIT_NS
    assert stage.proceed() == [Kind.CANARY_FAILED]
    assert stage.canary.failed and not stage.canary.set
    assert stage.proceed() == []
    stage.ahead_ns += RETRY_NS
    stage.make()
    assert stage.visit(State.AS_WANTED) == [Kind.CANARY_SET]
    assert stage.canary.set and not stage.canary.failed


def test_a_failure_that_lasts_is_logged_once(stage):
    logged = []
    for _ in range(3):
        stage.make()
        stage.ahead_ns += LIMIT_NS
        logged += stage.proceed()
        stage.ahead_ns += RETRY_NS
    assert logged == [Kind.CANARY_FAILED]


def test_where_no_namespace_can_be_created_the_guard_continues_without_a_canary(stage, monkeypatch):
    def unshare(_flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(libc, "unshare", unshare)
    assert stage.make() == [Kind.CANARY_FAILED]
    assert not stage.canary.set and not stage.canary.failed
    assert stage.canary.status["error"] == "No space left on device"
    stage.ahead_ns += PERIOD_NS
    assert stage.make() == []


def test_a_canary_that_is_no_longer_wanted_leaves_nothing(stage):
    stage.make()
    stage.canary.forget()
    assert stage.canary.status is None and not stage.canary.exists


def test_a_canary_that_is_interrupted_is_made_again_and_a_proof_stays_one(stage):
    stage.make()
    stage.canary.interrupt()
    assert stage.make() == []
    assert stage.visit(State.AS_WANTED) == [Kind.CANARY_SET]
    stage.canary.interrupt()
    assert stage.canary.set
    assert stage.proceed() == [] and not stage.canary.exists  # the next one is due in an hour


def test_a_shorter_period_counts_from_the_last_canary(stage):
    stage.make()
    stage.visit(State.AS_WANTED)
    stage.period_ns = 60 * 10**9
    assert stage.canary.deadline_ns(stage.period_ns) <= monotonic_ns() + stage.period_ns
    stage.ahead_ns += stage.period_ns
    assert stage.proceed() == [] and stage.canary.exists


def test_the_canary_is_a_process_that_is_not_waited_for(stage, monkeypatch):
    """The kernel may not let it end for a while: then it is killed, and waited for later."""
    assert (stage.canary.pid, stage.canary.identity) == (0, None)
    stage.proceed()
    pid = stage.canary.pid
    assert pid in stage.loop.own_pids and stage.canary.identity is None
    assert stage.loop.wait(monotonic_ns() + 20 * 10**9).descriptors
    stage.proceed()
    assert stage.canary.identity == identity(f"/proc/{pid}/ns/net")
    assert held(stage.canary.identity) == [f"/proc/{pid}/task/{pid}/ns/net"], (
        "nothing else holds it"
    )
    os.kill(pid, signal.SIGSTOP)
    stage.visit(State.AS_WANTED)
    assert (stage.canary.pid, stage.canary.identity) == (0, None)

    def is_gone():
        stage.loop.wait(0)  # which reaps
        return not os.path.exists(f"/proc/{pid}")

    wait_until(is_gone)


def test_a_visit_before_the_birth_is_known_is_one_of_the_canary(stage):
    stage.proceed()
    keys = (KeyStatus(RUN, State.AS_WANTED, "0"),)
    for pid, seen in ((stage.canary.pid, True), (stage.canary.pid + 1, False)):
        namespace = Namespace(4, 7, "canary", Owner(pid=pid))
        assert stage.canary.see(NamespaceResult(namespace, Reason.BIRTH, keys=keys)) is seen


def test_a_canary_that_somebody_kills_is_said_to_be_none_and_made_again(stage):
    stage.make()
    os.kill(stage.canary.pid, signal.SIGKILL)
    assert stage.loop.wait(monotonic_ns() + 20 * 10**9).descriptors
    assert stage.proceed() == [Kind.CANARY_FAILED]
    assert "has ended" in stage.canary.status["error"] and not stage.canary.exists
    stage.ahead_ns += PERIOD_NS
    assert stage.make() == []
    stage.visit(State.AS_WANTED)
    assert stage.canary.set


def test_a_birth_is_announced_once(stage):
    assert stage.proceed() == [] and not stage.canary.newborn
    assert stage.loop.wait(monotonic_ns() + 20 * 10**9).descriptors
    assert stage.proceed() == [] and stage.canary.newborn
    assert stage.proceed() == [] and not stage.canary.newborn


def test_a_namespace_without_ip_vs_is_no_birth_that_a_probe_could_report(stage):
    """ip_vs was removed since the canary was begun: the probe is not to blame."""
    stage.reading = Reading(Found.NO_TREE)
    assert stage.make() == [] and stage.canary.identity is not None
    assert not stage.canary.newborn
