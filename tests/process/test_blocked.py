"""The real daemon with a stderr and a file system that take nothing: it goes on all the same."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from tests.process.daemon_process import HOME, TIMEOUT_S, DaemonProcess, wait_until

F_SETPIPE_SZ = 1031  # linux/fcntl.h; Python 3.10 has it in fcntl


@pytest.fixture
def guard(root, tmp_path):
    root.load_ip_vs()
    root.configure("[guard]\nresync = 1s\n")
    made = DaemonProcess(root, tmp_path)
    yield made
    made.close()


@pytest.fixture
def full_pipe():
    """Make a pipe that is full, as stderr of a daemon whose reader hangs."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    os.write(writing, b"x" * 4095 + b"\n")
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)


def start(guard, stderr):
    command = [sys.executable, "-m", "ipvsd", "--root", guard.root.path, "run"]
    guard.process = subprocess.Popen(command, cwd=HOME, env=guard.environ, stderr=stderr)


def test_a_full_stderr_holds_up_nothing_and_its_lines_come_later(root, guard, full_pipe):
    reading, writing = full_pipe
    start(guard, writing)
    os.close(writing)
    guard.wait_for("READY=1")
    for _ in range(3):
        root.set("run_estimation", "1")
        wait_until(lambda: root.get() == "0")
    text = os.read(reading, 4096)
    while b"; something else" not in text and b"something else had changed it" not in text:
        text += os.read(reading, 4096)
    assert b"guard: started" in text, "the first line was kept"
    assert guard.end() == 0


def test_lines_that_were_lost_are_counted(root, guard, full_pipe):
    reading, writing = full_pipe
    code = (
        "import ipvsd.journal.unsent, runpy, sys\n"
        "ipvsd.journal.unsent.UNSENT_MAX = 2\n"
        f"sys.argv[1:] = ['--root', {root.path!r}, 'run']\n"
        "runpy.run_module('ipvsd', run_name='__main__')"
    )
    guard.process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=HOME, env=guard.environ, stderr=writing
    )
    os.close(writing)
    guard.wait_for("READY=1")
    for _ in range(5):
        guard.process.send_signal(signal.SIGHUP)
        guard.wait_for("READY=1")
    text = b""
    while b"were lost" not in text:
        text += os.read(reading, 4096)
    assert b"journal: it took no entries for a while; " in text and b"guard: started" not in text
    assert guard.end() == 0


def test_the_daemon_ends_with_a_full_stderr(root, guard, full_pipe):
    _reading, writing = full_pipe
    start(guard, writing)
    os.close(writing)
    guard.wait_for("READY=1")
    assert guard.end() == 0
    assert not os.path.exists(root.join("run/ipvs-estoff-guard/status.json"))


def children(guard):
    """Return the pids of the daemon's children."""
    pid = guard.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return list(map(int, file.read().split()))


def child(guard, name):
    """Return the pid of the daemon's child of this name, None if there is none."""
    for pid in children(guard):
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                return pid
    return None


def test_a_textfile_that_hangs_holds_up_nothing_and_is_written_afterwards(root, guard, tmp_path):
    """The child that writes it is stopped, as a frozen file system would do."""
    path = tmp_path / "guard.prom"
    root.configure(f"[guard]\nresync = 1s\n[metrics]\ntextfile = {path}\n")
    guard.start().wait_for("READY=1")
    pid = child(guard, "ipvsd-textfile")
    os.kill(pid, signal.SIGSTOP)
    path.unlink()
    guard.wait_for_log(f"{path}: not written, no answer for 5")
    assert f"; {path} not written for " in guard.wait_for("STATUS=")
    root.set("run_estimation", "1")
    wait_until(lambda: root.get() == "0")
    wait_until(lambda: guard.status()["counters"]["writes"].get("drift") == 1)
    assert not path.exists()
    assert guard.log().count("not written") == 1
    os.kill(pid, signal.SIGCONT)
    wait_until(path.exists)
    guard.end()
    assert not path.exists()


def test_a_hanging_textfile_holds_ready_and_stop_back_for_a_bounded_time(root, guard, tmp_path):
    path = tmp_path / "guard.prom"
    root.configure(f"[guard]\nresync = 1s\n[metrics]\ntextfile = {path}\n")
    guard.start().wait_for("READY=1")
    os.kill(child(guard, "ipvsd-textfile"), signal.SIGSTOP)
    wait_until(lambda: not child(guard, "ipvsd-render"))
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("RELOADING=1")
    guard.wait_for("READY=1")
    assert guard.end() == 0
    assert f"{path}: not written or removed, no answer for 1.5 s" in guard.log()


def test_no_thread_is_left_and_the_children_end_with_the_daemon(root, guard, tmp_path):
    root.configure(f"[guard]\nresync = 1s\n[metrics]\ntextfile = {tmp_path}/guard.prom\n")
    guard.start().wait_for("READY=1")
    wait_until(lambda: guard.status()["cost"] is not None)
    assert len(os.listdir(f"/proc/{guard.process.pid}/task")) == 1
    writers = [child(guard, name) for name in ("ipvsd-files", "ipvsd-textfile")]
    assert all(writers)
    guard.process.kill()
    guard.process.wait(TIMEOUT_S)
    wait_until(lambda: not any(map(alive, writers)))


def test_no_zombie_waits_for_the_next_event(root, guard):
    """A child writes namespaces.json and is killed then; another one, by somebody else."""
    root.configure("[guard]\nresync = 1h\n")
    guard.start().wait_for("READY=1")
    assert guard.status("namespaces")["namespaces"]
    pid = child(guard, "ipvsd-files")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    wait_until(lambda: not child(guard, "ipvsd-render"))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
