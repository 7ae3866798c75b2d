"""What a process changes is put right, however it ends."""

import os
import signal
import time

import pytest

from ipvsd.measure.cleanup_process import CleanupProcess
from ipvsd.model import NS_PER_MS

HOLD_NS = 300 * NS_PER_MS


class BirthEvents:
    """Files that tell, across processes, what has been called and when."""

    def __init__(self, folder):
        self._path = folder / "told"

    def log(self, word):
        with open(str(self._path), "a") as file:
            file.write(f"{word} {time.monotonic()}\n")
        return True

    @property
    def lines(self):
        return self._path.read_text().splitlines() if self._path.exists() else []

    @property
    def words(self):
        return [line.split()[0] for line in self.lines]


@pytest.fixture
def told(tmp_path):
    return BirthEvents(tmp_path)


def make(told, restore=None, clean=None, hold_ns=0):
    return CleanupProcess(
        restore or (lambda: told.log("restore")), clean or (lambda: told.log("clean")), hold_ns
    )


def test_what_was_not_changed_is_not_restored(told):
    make(told).close()
    assert told.words == ["clean"]


def test_what_was_changed_is_restored_on_demand_and_only_once(told):
    cleanup = make(told)
    cleanup.arm()
    assert cleanup.restore()
    cleanup.close()
    assert told.words == ["restore", "clean"]


def test_a_failure_is_reported_and_tried_again_at_the_end(told):
    def fail():
        told.log("restore")
        return False

    cleanup = make(told, fail)
    cleanup.arm()
    assert not cleanup.restore()
    cleanup.close()
    assert told.words == ["restore", "restore", "clean"]


def test_nothing_is_restored_sooner_than_it_may_be(told):
    cleanup = make(told, hold_ns=HOLD_NS)
    armed = time.monotonic()
    cleanup.arm()
    assert cleanup.restore()
    cleanup.close()
    assert float(told.lines[0].split()[1]) - armed >= HOLD_NS / 1e9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_parent_is_killed(told, number):
    """In a child of this process, whose caretaker is then nobody's child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        cleanup = make(told)
        cleanup.arm()
        os.write(writer, b"armed")
        time.sleep(60)
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 5) == b"armed"
    # With its whole process group, as a terminal does: the caretaker has a session of its own.
    os.killpg(pid, number)
    assert os.waitpid(pid, 0)[1] == number
    assert os.read(reader, 1) == b"", "the caretaker has ended, too"
    os.close(reader)
    assert told.words == ["restore", "clean"]


def test_a_parent_that_dies_before_the_answer_is_cleaned_up_after(told):
    def restore_and_kill():
        parent = os.getppid()
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:  # until its end of the pipe is closed
            time.sleep(0.01)
        return told.log("restore")

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        cleanup = make(told, restore_and_kill)
        cleanup.arm()
        cleanup.restore()
        os._exit(0)
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert os.read(reader, 1) == b"", "the caretaker has ended, too"
    os.close(reader)
    assert told.words == ["restore", "clean"]


def test_what_is_still_busy_is_cleaned_as_soon_as_it_can_be(told):
    """A descriptor of the one that was killed may be open a moment longer than the pipe."""

    def clean():
        told.log("clean")
        return told.words == ["clean"] * 3

    make(told, clean=clean).close()
    assert told.words == ["clean"] * 3


def test_signals_end_no_caretaker(told):
    cleanup = make(told)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(cleanup._pid, number)
    cleanup.arm()
    assert cleanup.restore()
    cleanup.close()
    assert told.words == ["restore", "clean"]


def test_without_its_caretaker_a_process_does_it_itself(told):
    cleanup = make(told)
    cleanup.arm()
    os.kill(cleanup._pid, signal.SIGKILL)
    os.waitid(os.P_PID, cleanup._pid, os.WEXITED | os.WNOWAIT)
    assert cleanup.restore()
    assert told.words == ["restore"]
    cleanup.close()


def test_a_restore_that_raises_is_a_failure_that_is_reported(told, capfd):
    def broken():
        raise ValueError("broken")

    cleanup = make(told, broken)
    cleanup.arm()
    assert not cleanup.restore()
    cleanup.close()
    assert told.words == ["clean"]
    assert "ValueError: broken" in capfd.readouterr().err
