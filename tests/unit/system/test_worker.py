"""The worker process: jobs, errors, large messages, and every way in which it can fail."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from ipvsd.system.worker import Worker
from tests.time_limits import in_alarm

LIMIT_S = 20


def do(request, progress):
    """Do what a test asks for, in the child."""
    what, argument = request
    if what == "echo":
        return argument
    if what == "fail":
        raise ValueError(argument)
    if what == "leave":
        raise SystemExit(argument)
    if what == "die":
        os._exit(argument)
    if what == "steps":
        for _ in range(argument):
            progress.step()
        return None
    if what == "open":
        return sorted(map(int, os.listdir("/proc/self/fd")))
    if what == "self":
        with open("/proc/self/comm", encoding="ascii") as file:
            return os.getpid(), file.read().strip(), os.getpriority(os.PRIO_PROCESS, 0)
    assert what == "hang"
    progress.step()
    signal.pause()
    return None


@pytest.fixture
def worker():
    made = Worker(do, "ipvsd-test")
    yield made
    made.close()
    wait_until(lambda: made.reap() == 0)


def wait_until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def call(worker, what, argument=None):
    worker.submit((what, argument))
    assert worker.busy
    done = worker.wait(LIMIT_S)
    assert not worker.busy
    return done


def state(pid):
    """Return the state of a process as in ps(1), empty when it has ended and was waited for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(") ")[2][0]
    except OSError:
        return ""


def test_one_child_does_job_after_job(worker):
    assert worker.pid == 0 and worker.take() is None
    assert call(worker, "echo", {"a": 1})[:2] == ({"a": 1}, "")
    pid = worker.pid
    assert call(worker, "self").result == (pid, "ipvsd-test", os.getpriority(os.PRIO_PROCESS, 0))


def test_an_exception_is_a_sentence_with_its_place_and_the_child_goes_on(worker):
    done = call(worker, "fail", "broken")
    pid = worker.pid
    assert done.result is None
    assert "ValueError('broken'" in done.error and "at test_worker.py:" in done.error
    assert call(worker, "echo", 1).result == 1 and worker.pid == pid


def test_messages_that_no_socket_holds_are_sent_in_parts(worker):
    """The submit() of a request that the child does not read yet does not wait for it."""
    call(worker, "echo")
    os.kill(worker.pid, signal.SIGSTOP)
    large = b"x" * (8 * 2**20)
    with in_alarm():
        worker.submit(("echo", large))
    assert worker.sending and worker.take() is None
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.wait(LIMIT_S).result == large
    assert not worker.sending


def test_a_child_that_dies_is_an_error_and_the_next_job_has_another(worker):
    pid = (call(worker, "echo"), worker.pid)[1]
    done = call(worker, "die", 3)
    assert done.error == f"the process ipvsd-test ({pid}) has ended"
    assert worker.pid == 0
    assert call(worker, "echo", 2).result == 2 and worker.pid not in (0, pid)


def test_why_a_child_has_ended_is_told_even_when_it_is_read_after_the_end(worker):
    worker.submit(("leave", "no way home"))
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert "no way home" in worker.take().error
    assert worker.take().died and worker.take() is None


def test_a_child_that_may_not_be_killed_ends_without_its_socket(worker, monkeypatch):
    """AppArmor's default profile for containers forbids every signal."""
    worker.submit(("echo", 1))

    def refuse(_pid, _number):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        worker.kill()
    wait_until(lambda: worker.reap() == 0)
    worker.submit(("echo", 2))
    assert worker.wait(LIMIT_S).result == 2


def test_a_child_that_is_killed_before_its_job_is_an_error(worker):
    call(worker, "echo")
    pid = worker.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: state(pid) == "Z")
    assert "has ended" in call(worker, "echo", 1).error
    assert call(worker, "echo", 1).result == 1


def test_a_child_that_hangs_is_killed_and_replaced_and_leaves_no_zombie(worker):
    worker.submit(("hang", None))
    pid, before = worker.pid, worker.progress.steps
    wait_until(lambda: worker.progress.steps > before)
    assert worker.wait(0.05) is None, "no progress"
    worker.kill()
    assert not worker.busy and worker.pid == 0
    wait_until(lambda: worker.reap() == 0)
    assert state(pid) == ""
    assert call(worker, "echo", 1).result == 1


def test_a_stopped_child_makes_no_progress_and_can_be_killed_or_go_on(worker):
    call(worker, "echo")
    os.kill(worker.pid, signal.SIGSTOP)
    worker.submit(("echo", 5))
    assert worker.wait(0.05) is None and worker.busy
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.wait(LIMIT_S).result == 5
    os.kill(worker.pid, signal.SIGSTOP)
    pid = worker.pid
    worker.kill()
    wait_until(lambda: worker.reap() == 0)
    assert state(pid) == ""


def test_progress_is_seen_while_the_job_goes_on(worker):
    before = worker.progress.steps
    call(worker, "steps", 1000)
    assert worker.progress.steps == before + 1001, "submit() is one"


def test_the_child_holds_no_descriptor_of_the_parent(worker):
    reading, writing = os.pipe()
    try:
        *own, _listing = call(worker, "open").result
        assert own[:3] == [0, 1, 2] and len(own) == 4, "the standard ones, and the socket"
        os.close(writing)
        assert select.select([reading], [], [], LIMIT_S)[0], "the pipe has no other writer"
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_signals_for_the_service_do_not_end_the_child(worker):
    call(worker, "echo")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker.pid, number)
    assert call(worker, "echo", 1).result == 1


_PARENT = """
import os, signal, time
from ipvsd.system.worker import Worker
from tests.unit.system.{module} import do
worker = Worker(do, "ipvsd-test")
worker.submit(("hang", None))
while worker.progress.steps < 2:  # it hangs in its job
    time.sleep(0.001)
print(worker.pid, flush=True)
signal.pause()
"""


def test_a_parent_that_is_killed_takes_its_child_along():
    code = _PARENT.format(module=__name__.rpartition(".")[2])
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    try:
        assert state(pid)
        parent.kill()
        wait_until(lambda: state(pid) in ("", "Z"))  # a container may have no init that reaps
    finally:
        parent.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        parent.communicate()
