"""File systems that never answer on the path to a namespace: FUSE without a server."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ipvsd.daemon import hang_watch, namespace_worker, put_aside
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.kernel.netns_entry import Entrance
from ipvsd.model import NS_PER_MS, Reason, Selector
from tests.fakeroot import FakeRoot
from tests.namespaces.drive import Drive, inside, value_in
from tests.namespaces.holders import HOME, TIMEOUT_S, held, identity, wait_until
from tests.namespaces.stand_in import read
from tests.process.daemon_process import DaemonProcess
from tests.time_limits import in_alarm

STOP_S = 5  # the unit's TimeoutStopSec= is 15 s


@pytest.fixture(params=["nobody serves it", "its server does not answer"])
def hanging(request, holders, monkeypatch):
    """Cover a mount, the only holder of a namespace, by a file system that never answers."""
    monkeypatch.setattr(hang_watch, "LOOK_NS", 50 * NS_PER_MS)
    os.mkdir(os.path.join(holders.folder, "covered"))
    meant = identity(holders.mount("covered/web"))
    if request.param == "nobody serves it":
        device = holders.hang("covered")
        ends = [lambda: os.close(device)]
    else:
        server = holders.hang_for_good("covered")
        ends = [lambda: server.stdin.close() or server.kill() or server.wait(TIMEOUT_S)]

    def end():
        while ends:
            ends.pop()()

    yield meant, end
    end()


@pytest.fixture
def drive(holders, hanging):
    made = Drive(holders)
    yield made
    hanging[1]()
    killed = made.scanner.worker.process
    wait_until(lambda: killed.reap() == 0, "a process that was killed never ends")
    made.scanner.worker.close()


def test_all_others_are_set_what_hangs_is_named_and_nothing_is_pinned(holders, hanging, drive):
    meant, _ = hanging
    paths = [holders.process()[1], holders.mount("other"), holders.thread()[1]]
    drive.full_scan()
    (hung,) = drive.hung
    assert hung.startswith("scanning for namespaces at ") and hung.endswith("/covered/web")
    assert [value_in(path) for path in paths] == ["63"] * 3
    assert (drive.scanner.scans_given_up, drive.scanner.visits.barred_count(True)) == (1, 1)
    assert meant not in drive.memory.namespaces
    worker = drive.scanner.worker.process
    for path in paths:
        for holder in held(identity(path)):
            assert int(holder.split("/")[2]) not in {worker.pid, *worker.killed}, "it is pinned"


def test_one_process_at_most_hangs_and_others_are_set_without_a_wait(
    holders, hanging, drive, monkeypatch
):
    drive.full_scan()
    count = len(drive.hung)
    monkeypatch.setattr(hang_watch, "LOOKS_MAX", 10**6)  # a second one would never be given up
    path = holders.mount("new")
    drive.expect_births()
    drive.until(lambda: value_in(path) == "63")
    assert len(drive.scanner.worker.process.killed) <= 1 and len(drive.hung) == count


def test_what_hung_is_set_when_the_file_system_answers_again(holders, hanging, drive, monkeypatch):
    monkeypatch.setattr(namespace_worker, "WARY_MIN_NS", 200 * NS_PER_MS)
    monkeypatch.setattr(put_aside, "WAIT_MIN_NS", 200 * NS_PER_MS)
    meant, end = hanging
    path = holders.process()[1]
    drive.full_scan()
    end()
    subprocess.run(
        [*holders._inside, "umount", "-l", os.path.join(holders.folder, "covered")], check=True
    )
    drive.full_scan(Reason.LOAD)
    drive.until(lambda: meant in drive.memory.namespaces, "it is lost")
    assert inside(drive.scanner.visits.places[meant].paths, meant, read) == "63"
    assert value_in(path) == "63"


def test_an_excluded_namespace_is_neither_entered_nor_set_beside_a_hang(
    holders, hanging, drive, monkeypatch, tmp_path
):
    _, end = hanging
    kept, other = holders.mount("kept"), holders.mount("other")
    excluded = Selector("name", holders.shown(kept), "test:1")
    drive.policy = drive.policy._replace(exclusions=(excluded,))
    visit, entered = Entrance.visit, tmp_path / "entered"

    def noting(self, paths, meant, check):  # in the worker's process
        with open(str(entered), "a", encoding="ascii") as file:
            file.write(f"{meant[1]}\n")
        return visit(self, paths, meant, check)

    monkeypatch.setattr(Entrance, "visit", noting)
    drive.full_scan()
    assert drive.hung, "nothing hung"
    drive.full_scan(Reason.LOAD)
    new = holders.mount("new")
    drive.expect_births()
    drive.until(lambda: value_in(new) == "63")
    end()  # and beside its end
    drive.full_scan(Reason.RELOAD)
    inodes = entered.read_text().split()
    assert str(identity(other)[1]) in inodes and str(identity(kept)[1]) not in inodes
    monkeypatch.undo()
    assert value_in(kept) == "64" and value_in(other) == "63"
    (rule,) = {one.rule for one in drive.results if one.namespace.identity == identity(kept)}
    assert rule.startswith(f"excluded by {excluded}")


def test_a_wary_scan_remembers_what_hangs_in_another_mount_namespace(holders):
    child, path, meant = holders.mount_elsewhere()
    finder = NamespaceFinder(holders.root)
    assert meant in finder.scan(deep=True).holders
    holders._inside = ("nsenter", "-t", str(child.pid), "-m")
    device = holders.hang("")  # over the whole folder
    try:
        with in_alarm():
            finder.reader.wary = True
            found = [finder.scan(deep=False), finder.scan(deep=True)]
    finally:
        os.close(device)
    assert all(meant in one.holders for one in found)


_COMMAND = """
import sys
from ipvsd import cli
from ipvsd.enforce import all_namespaces
all_namespaces.STEP_LIMIT_S = 0.3
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_command_gives_up_with_one_line_and_ends(holders, hanging):
    fake_root(holders)
    command = [sys.executable, "-c", _COMMAND, "--root", holders.root, "apply"]
    pipe = subprocess.PIPE
    done = subprocess.run(command, cwd=HOME, stdout=pipe, stderr=pipe, timeout=TIMEOUT_S)
    line = b"ipvsd: namespaces: reading them hangs, since a file system on the path to one "
    line += b"does not answer; check the NFS and FUSE mounts\n"
    assert (done.returncode, done.stdout, done.stderr) == (5, b"", line)


def fake_root(holders):
    """Add a loaded ip_vs to the root of the holders."""
    root = FakeRoot.__new__(FakeRoot)
    root.path = holders.root
    for folder in ("etc/ipvs-estoff-guard/conf.d", "run", "proc/sys/net/ipv4"):
        os.makedirs(root.join(folder))
    root.load_ip_vs()
    return root


def test_a_start_that_makes_progress_is_given_more_time(holders, tmp_path):
    """With ten thousand namespaces on a slow machine a start takes minutes, and nothing hangs."""
    holders.mount()
    root = fake_root(holders)
    root.configure("[guard]\ncanary = off\n")
    guard = DaemonProcess(root, tmp_path)
    try:
        guard.start().wait_for("EXTEND_TIMEOUT_USEC=60000000")
        guard.wait_for("READY=1")
    finally:
        guard.close()


def test_the_daemon_continues_feeds_the_watchdog_and_takes_signals(holders, hanging, tmp_path):
    """The real daemon sets the value, logs it and feeds the watchdog while its worker hangs."""
    root = fake_root(holders)
    root.configure("[guard]\nresync = 1s\ncanary = off\n")
    folder = tmp_path / "daemon"
    folder.mkdir()
    guard = DaemonProcess(root, folder, watchdog_usec=400_000)
    try:
        guard.start().wait_for("WATCHDOG=1")
        os.symlink(f"/proc/{guard.process.pid}", f"{root.path}/proc/{guard.process.pid}")
        assert root.get() == "0"
        for value in ("1", "0", "1"):
            root.set("run_estimation", value)
            guard.wait_for("WATCHDOG=1")
        guard.wait_for_log("something else had changed it")
        guard.process.send_signal(signal.SIGHUP)
        guard.wait_for("RELOADING=1")
        assert not any("READY=1" in message for message in guard.messages), "not yet"
        assert guard.end() == 0
    finally:
        guard.close()


def test_the_daemon_ends_in_time_while_its_worker_cannot_be_killed(
    request, holders, hanging, tmp_path
):
    root = fake_root(holders)
    root.configure("[guard]\ncanary = off\n")
    folder = tmp_path / "daemon"
    folder.mkdir()
    guard = DaemonProcess(root, folder)
    try:
        guard.start()
        wait_until(lambda: waits_in_fuse(guard.process.pid), "no worker hangs")
        (worker,) = waits_in_fuse(guard.process.pid)
        began_s = time.monotonic()
        assert guard.end() == 0
        assert time.monotonic() - began_s < STOP_S
        assert "guard: stopped" in guard.log()
        if request.node.callspec.params["hanging"] == "its server does not answer":
            wait_until(lambda: "\nState:\tD" in shown(worker, "status"), "it could be killed")
    finally:
        guard.close()


def waits_in_fuse(daemon):
    """Return the children of the daemon that wait for a file system's answer."""
    with open(f"/proc/{daemon}/task/{daemon}/children", encoding="ascii") as file:
        children = file.read().split()
    places = ("fuse", "request_wait_answer")  # fs/fuse/dev.c; the first without a server
    return [one for one in children if any(place in shown(one, "wchan") for place in places)]


def shown(pid, name):
    """Return what the kernel shows of a process, empty when it has ended."""
    try:
        with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
