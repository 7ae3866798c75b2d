"""Tasks for a child process: the newest of each name, and what is known while it hangs."""

import os
import signal
import time

import pytest

from ipvsd.system import mailbox
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.mailbox import LATE_NS, Mailbox, finish
from ipvsd.system.worker import Worker

LIMIT_NS = 20 * 10**9


def wait(path):
    """Stand for a file system that hangs until `path` exists."""
    while not os.path.exists(path):
        time.sleep(0.001)
    return "written"


def echo(*arguments):
    return arguments


@pytest.fixture
def box(loop):
    made = Mailbox("ipvsd-test")
    loop.follow(made.worker)
    yield made
    loop.unfollow(made.worker)
    made.close()


def results(loop, box):
    """Let the loop turn until everything is done; return the results."""
    found = box.take()
    while not box.idle:
        woken = loop.wait(monotonic_ns() + LIMIT_NS)
        assert woken.descriptors, "nothing has come"
        found += box.take()
    return [(name, done.result) for name, done in found]


def test_a_task_that_waits_is_replaced_by_a_newer_one_of_its_name(loop, box, tmp_path):
    box.post("first", wait, str(tmp_path / "go"))
    for number in range(100):
        box.post("a", echo, number)
        box.post("b", echo, -number)
    assert box.take() == [] and not box.idle
    (tmp_path / "go").touch()
    assert results(loop, box) == [("first", "written"), ("a", (99,)), ("b", (-99,))]


def test_the_loop_turns_until_a_child_that_was_stopped_has_taken_a_large_text(loop, box):
    box.post("first", echo)
    results(loop, box)
    os.kill(box.worker.pid, signal.SIGSTOP)
    box.post("large", echo, "x" * 2**22)
    assert loop.wait(monotonic_ns() + 10**7).descriptors == set(), "the socket is full"
    os.kill(box.worker.pid, signal.SIGCONT)
    assert results(loop, box) == [("large", ("x" * 2**22,))]


def test_a_task_that_hangs_is_named_and_its_child_is_left_alone(loop, box, tmp_path):
    box.post("quick", echo, 1)
    assert box.late(monotonic_ns()) == ("", 0)
    assert results(loop, box) == [("quick", (1,))]
    box.post("a", echo)
    box.post("stuck", wait, str(tmp_path / "go"))
    box.post("behind", echo)
    while box._underway != ["stuck", "behind"]:
        loop.wait(monotonic_ns() + LIMIT_NS)
        box.take()
    while box.worker.progress.steps == box._first_step:
        loop.wait(monotonic_ns() + 10**6)  # until the child has begun the first of them
    pid, now_ns = box.worker.pid, monotonic_ns()
    box.late(now_ns)
    assert now_ns < box.deadline_ns <= now_ns + LATE_NS
    name, took_ns = box.late(now_ns + 2 * LATE_NS)
    assert name == "stuck" and took_ns >= LATE_NS
    (tmp_path / "go").touch()
    assert dict(results(loop, box))["stuck"] == "written"
    assert box.worker.pid == pid and box.deadline_ns == 0


def test_a_dropped_task_is_not_done_and_ends_the_child_that_is_late_with_it(
    loop, box, tmp_path, monkeypatch
):
    box.post("stuck", wait, str(tmp_path / "never"))
    box.post("waits", echo)
    assert not box.drop("waits") and not box.drop("stuck"), "it is not late yet"
    pid = box.worker.pid
    monkeypatch.setattr(mailbox, "LATE_NS", 0)
    assert box.drop("stuck")
    box.post("next", echo, 1)
    assert results(loop, box) == [("next", (1,))]
    assert box.worker.pid != pid


def test_beside_a_child_that_cannot_be_killed_no_other_is_killed(box, tmp_path, monkeypatch):
    box.post("stuck", wait, str(tmp_path / "never"))
    monkeypatch.setattr(mailbox, "LATE_NS", 0)
    monkeypatch.setattr(Worker, "reap", lambda _worker: 1)
    assert not box.drop("stuck")
    monkeypatch.undo()


def test_a_child_that_dies_fails_its_tasks_and_the_next_ones_have_another(loop, box):
    box.post("die", os._exit, 1)
    while not box.idle:
        loop.wait(monotonic_ns() + LIMIT_NS)
        for name, done in box.take():
            assert name == "die" and "has ended" in done.error
    box.post("next", echo, 1)
    assert results(loop, box) == [("next", (1,))]


def test_without_room_for_a_process_the_tasks_fail(box, monkeypatch):
    def refuse(_worker, _request):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(Worker, "submit", refuse)
    box.post("a", echo)
    ((name, done),) = box.take()
    assert (name, done.error) == ("a", "Resource temporarily unavailable") and box.idle


def test_the_end_waits_for_all_tasks_and_not_for_one_that_hangs(loop, box, tmp_path):
    other, found = Mailbox("ipvsd-other"), []
    box.post("stuck", wait, str(tmp_path / "never"))
    other.post("a", echo)
    other.post("b", echo)
    began_ns = monotonic_ns()
    finish([box, other], 10**8, lambda: found.extend([*box.take(), *other.take()]))
    assert [name for name, _ in found] == ["a", "b"] and other.idle and not box.idle
    assert 10**8 <= monotonic_ns() - began_ns < LIMIT_NS
    other.close()


def test_the_pids_of_the_service_are_known(loop, box):
    assert loop.own_pids == {os.getpid()}
    box.post("a", echo)
    assert loop.own_pids == {os.getpid(), box.worker.pid}
