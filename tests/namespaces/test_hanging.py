"""File systems that never answer on the path to a namespace: FUSE without a server."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from ipvsd.daemon import scanner
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.model import NS_PER_MS, NS_PER_S, Reason
from tests.fakeroot import FakeRoot
from tests.namespaces.drive import Drive, value_in
from tests.namespaces.holders import HOME, TIMEOUT_S, identity
from tests.process.daemon_process import DaemonProcess


@pytest.fixture
def hanging(holders):
    """Cover a mount, the only holder of a namespace, by a file system that never answers."""
    os.mkdir(os.path.join(holders.folder, "covered"))
    meant = identity(holders.mount("covered/web"))
    device = holders.hang("covered")
    before = threading.active_count()
    yield meant
    os.close(device)
    # Now each hanging access fails, and its thread ends.
    for thread in threading.enumerate()[before:]:
        thread.join(TIMEOUT_S)


@pytest.fixture
def drive(holders, hanging):
    made = Drive(holders)
    yield made
    made.scanner.close()


def test_all_other_namespaces_are_set_and_what_hangs_is_named(holders, hanging, drive, monkeypatch):
    monkeypatch.setattr(scanner, "SCAN_LIMIT_NS", 300 * NS_PER_MS)
    monkeypatch.setattr(scanner, "VISITS_LIMIT_NS", 300 * NS_PER_MS)
    paths = [holders.process()[1], holders.mount("other"), holders.thread()[1]]
    drive.full_scan()
    scanning, entering = drive.hung
    assert scanning == "scanning for namespaces"
    assert entering.startswith("entering ") and "covered/web" in entering
    assert [value_in(path) for path in paths] == ["63"] * 3
    assert (drive.scanner.scans_given_up, drive.scanner.visits.put_aside_count) == (1, 1)
    assert hanging not in drive.memory.namespaces


def test_no_scan_and_no_visit_hangs_a_second_time(holders, hanging, drive, monkeypatch):
    monkeypatch.setattr(scanner, "SCAN_LIMIT_NS", 300 * NS_PER_MS)
    monkeypatch.setattr(scanner, "VISITS_LIMIT_NS", 300 * NS_PER_MS)
    drive.full_scan()
    monkeypatch.setattr(scanner, "SCAN_LIMIT_NS", 60 * NS_PER_S)
    monkeypatch.setattr(scanner, "VISITS_LIMIT_NS", 60 * NS_PER_S)
    count = len(drive.hung)
    path = holders.mount("new")
    drive.full_scan(Reason.RESYNC)
    assert len(drive.hung) == count and value_in(path) == "63"


def test_a_wary_scan_remembers_what_hangs_in_another_mount_namespace(holders):
    child, path, meant = holders.mount_elsewhere()
    finder = NamespaceFinder(holders.root, wary=True)
    assert meant in finder.scan(deep=True).holders
    holders._inside = ("nsenter", "-t", str(child.pid), "-m")
    device, found = holders.hang(""), []  # over the whole folder
    # In a thread: no signal wakes an access that waits for FUSE to begin.
    thread = threading.Thread(target=lambda: found.extend(map(finder.scan, [False, True])))
    thread.start()
    thread.join(5)
    scan_ended = len(found)
    os.close(device)
    thread.join(TIMEOUT_S)
    assert scan_ended == 2, "the scan hangs"
    assert all(meant in scan.holders for scan in found)


_COMMAND = """
import sys
from ipvsd import cli
from ipvsd.kernel import netns_worker
netns_worker.CALL_LIMIT_S = 0.3
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
