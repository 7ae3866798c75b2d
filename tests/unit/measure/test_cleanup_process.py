"""The cleanup process: it restores what its parent changed, however the parent ends."""

import os
import signal
import time

import pytest

from ipvsd.measure.cleanup_process import CleanupProcess
from ipvsd.model import NS_PER_MS

HOLD_NS = 300 * NS_PER_MS


class CallLog:
    """A file that several processes write: which function was called, and when."""

    def __init__(self, folder):
        self._path = folder / "calls"

    def add(self, word):
        with open(str(self._path), "a") as file:
            file.write(f"{word} {time.monotonic()}\n")
        return True

    @property
    def lines(self):
        return self._path.read_text().splitlines() if self._path.exists() else []

    @property
    def names(self):
        return [line.split()[0] for line in self.lines]


@pytest.fixture
def calls(tmp_path):
    return CallLog(tmp_path)


def make(calls, restore=None, clean=None, hold_ns=0):
    return CleanupProcess(
        restore or (lambda: calls.add("restore")), clean or (lambda: calls.add("clean")), hold_ns
    )


def test_nothing_is_restored_before_a_change(calls):
    make(calls).close()
    assert calls.names == ["clean"]


def test_a_change_is_restored_on_demand_and_only_once(calls):
    cleanup = make(calls)
    cleanup.arm()
    assert cleanup.restore()
    cleanup.close()
    assert calls.names == ["restore", "clean"]


def test_a_failure_is_reported_and_tried_again_at_the_end(calls):
    def fail():
        calls.add("restore")
        return False

    cleanup = make(calls, fail)
    cleanup.arm()
    assert not cleanup.restore()
    cleanup.close()
    assert calls.names == ["restore", "restore", "clean"]


def test_nothing_is_restored_before_the_hold_time_is_over(calls):
    cleanup = make(calls, hold_ns=HOLD_NS)
    armed = time.monotonic()
    cleanup.arm()
    assert cleanup.restore()
    cleanup.close()
    assert float(calls.lines[0].split()[1]) - armed >= HOLD_NS / 1e9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_parent_is_killed(calls, number):
    """The parent is a child of this process, so its cleanup process becomes an orphan."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        cleanup = make(calls)
        cleanup.arm()
        os.write(writer, b"armed")
        time.sleep(60)
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 5) == b"armed"
    # The whole process group, as a terminal does: the cleanup process has its own session.
    os.killpg(pid, number)
    assert os.waitpid(pid, 0)[1] == number
    assert os.read(reader, 1) == b"", "the cleanup process has ended, too"
    os.close(reader)
    assert calls.names == ["restore", "clean"]


def test_a_parent_that_dies_before_the_answer_is_cleaned_up_after(calls):
    def restore_and_kill():
        parent = os.getppid()
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:  # until its end of the pipe is closed
            time.sleep(0.01)
        return calls.add("restore")

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        cleanup = make(calls, restore_and_kill)
        cleanup.arm()
        cleanup.restore()
        os._exit(0)
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert os.read(reader, 1) == b"", "the cleanup process has ended, too"
    os.close(reader)
    assert calls.names == ["restore", "clean"]


def test_busy_probes_are_cleaned_as_soon_as_possible(calls):
    """A descriptor of a killed parent may stay open a moment longer than its pipe."""

    def clean():
        calls.add("clean")
        return calls.names == ["clean"] * 3

    make(calls, clean=clean).close()
    assert calls.names == ["clean"] * 3


def test_signals_do_not_end_the_cleanup_process(calls):
    cleanup = make(calls)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(cleanup._pid, number)
    cleanup.arm()
    assert cleanup.restore()
    cleanup.close()
    assert calls.names == ["restore", "clean"]


def test_without_its_cleanup_process_the_parent_restores_itself(calls):
    cleanup = make(calls)
    cleanup.arm()
    os.kill(cleanup._pid, signal.SIGKILL)
    os.waitid(os.P_PID, cleanup._pid, os.WEXITED | os.WNOWAIT)
    assert cleanup.restore()
    assert calls.names == ["restore"]
    cleanup.close()


def test_a_restore_that_raises_is_a_failure_that_is_reported(calls, capfd):
    def broken():
        raise ValueError("broken")

    cleanup = make(calls, broken)
    cleanup.arm()
    assert not cleanup.restore()
    cleanup.close()
    assert calls.names == ["clean"]
    assert "ValueError: broken" in capfd.readouterr().err
