"""Files in the runtime directory: written whole, with the right modes, by a living daemon."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import subprocess

import pytest

from ipvsd.enforce.memory import Memory
from ipvsd.model import (
    GuardError,
)
from ipvsd.status import documents, runtime_dir
from ipvsd.status.runtime_dir import EVENTS, NAMESPACES, STATUS, RuntimeFolder
from ipvsd.system import files
from tests.time_limits import in_alarm

COUNTERS = documents.counters(Memory(), 0)

DOCUMENTS = {
    STATUS: {
        "guard": "1",
        "started": "today",
        "mode": "enforce",
        "states": {},
        "sources": {"births": "on"},
        "canary": None,
        "counters": COUNTERS,
    },
    EVENTS: {"recent": [], "last_write": None},
    NAMESPACES: {"namespaces": []},
}


def publish(runtime, name, document):
    """Write a file as the daemon does; return why that failed."""
    return runtime_dir.publish(*runtime.rendered(name, document))


@pytest.fixture
def locked(root):
    """Make the folder of a daemon, which is this process."""
    made = RuntimeFolder(root.path)
    made.lock()
    yield made
    made.unlock()


@pytest.mark.parametrize("name, mode", [(STATUS, 0o644), (EVENTS, 0o600), (NAMESPACES, 0o600)])
def test_a_file_is_complete_and_only_the_status_is_readable_for_everybody(root, locked, name, mode):
    runtime = locked
    document = dict(DOCUMENTS[name], version=1)
    assert publish(runtime, name, document) is None
    assert "pid" not in document
    path = root.join("run/ipvs-estoff-guard/" + name)
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    assert json.loads(root.read("run/ipvs-estoff-guard/" + name))["pid"] == os.getpid()
    assert runtime.daemon(name)["version"] == 1
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(["lock", name])
    for one in runtime.paths():
        runtime_dir.withdraw(one)
    assert runtime.daemon(name) is None
    assert os.listdir(os.path.dirname(path)) == ["lock"]
    assert stat.S_IMODE(os.stat(root.join("run/ipvs-estoff-guard/lock")).st_mode) == 0o600


def test_the_status_and_the_namespaces_are_files_of_their_own(locked):
    publish(locked, STATUS, dict(DOCUMENTS[STATUS], version=2))
    publish(locked, NAMESPACES, {"namespaces": []})
    assert locked.daemon()["version"] == 2
    assert locked.daemon(NAMESPACES)["namespaces"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 1},
        {"start_time": "1"},
        {"pid": "x"},
        {"pid": None},
        {"pid": 0, "start_time": None},
        {"counters": {"loads": 1}},
        {"sources": {"births": 1}},
    ],
)
def test_a_status_file_of_a_dead_daemon_or_of_another_version_does_not_count(root, locked, change):
    runtime = locked
    publish(runtime, STATUS, DOCUMENTS[STATUS])
    assert runtime.daemon() is not None
    document = json.loads(root.read("run/ipvs-estoff-guard/status.json"))
    root.write("run/ipvs-estoff-guard/status.json", json.dumps(dict(document, **change)))
    assert runtime.daemon() is None


def test_whether_the_daemon_runs(root):
    runtime = RuntimeFolder(root.path)
    assert runtime.running() is False
    runtime.lock()
    publish(runtime, STATUS, DOCUMENTS[STATUS])
    runtime.unlock()
    assert runtime.running() is True
    document = json.loads(root.read("run/ipvs-estoff-guard/status.json"))
    for change, expected in (
        ({"pid": 2**22 + 1}, False),  # no pid is larger than PID_MAX_LIMIT
        ({"pid": 2**31}, False),
        ({"pid": 0}, False),
        ({"pid": -1}, False),
        ({"start_time": "1"}, False),
        ({"counters": {}}, None),  # of another version
    ):
        text = json.dumps(dict(document, **change))
        root.write("run/ipvs-estoff-guard/status.json", text)
        assert (runtime.running(), runtime.daemon()) == (expected, None), change


@pytest.mark.parametrize("visible, exists", [("no", True), ("unreadable", True), ("no", False)])
def test_a_daemon_that_the_caller_may_not_see(locked, monkeypatch, visible, exists):
    def kill(pid, number):
        assert (pid, number) == (os.getpid(), 0)
        raise PermissionError(1, "x") if exists else ProcessLookupError(3, "x")

    def start_time(pid):
        raise FileNotFoundError(2, "x") if visible == "no" else PermissionError(1, "x")

    runtime = locked
    publish(runtime, STATUS, DOCUMENTS[STATUS])
    monkeypatch.setattr(runtime_dir, "_start_time", start_time)
    monkeypatch.setattr(os, "kill", kill)
    assert (runtime.running(), runtime.daemon()) == (None if exists else False, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\x00"])
def test_a_broken_status_file_does_not_count(root, text):
    root.write("run/ipvs-estoff-guard/status.json", text)
    assert RuntimeFolder(root.path).daemon() is None


def test_only_one_can_have_the_lock(root):
    first, second = RuntimeFolder(root.path), RuntimeFolder(root.path)
    assert first.lock() and not second.lock()
    first.unlock()
    assert second.lock()
    second.unlock()


def test_a_lock_whose_file_was_replaced_by_then_is_none(root, monkeypatch):
    """As when the one before is a service whose folder systemd removes when the service stops."""
    first, second, third = (RuntimeFolder(root.path) for _ in range(3))
    path, flock = first.path("lock"), fcntl.flock

    def lock_late(descriptor, operation):
        os.unlink(path)
        monkeypatch.setattr(fcntl, "flock", flock)
        assert second.lock()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    assert not first.lock() and not third.lock()
    second.unlock()
    assert third.lock()
    third.unlock()


def test_who_waits_for_a_lock_waits_for_its_holder_even_when_the_file_is_gone(root):
    first, second = RuntimeFolder(root.path), RuntimeFolder(root.path)
    assert first.lock() and not second.lock()
    shutil.rmtree(root.join("run/ipvs-estoff-guard"))
    assert not second.lock() and not second.lock()
    first.unlock()
    assert second.lock() and not first.lock()
    second.unlock()
    assert first.lock()
    first.unlock()


def test_a_folder_that_is_gone_is_no_other_daemon(root):
    """As a container sees the host's folder below a mount, when the host has made another one."""
    runtime = RuntimeFolder(root.path)
    os.makedirs(root.join("run"), exist_ok=True)
    os.symlink("nowhere", root.join("run/ipvs-estoff-guard"))
    with pytest.raises(GuardError, match="ipvs-estoff-guard"):
        runtime.lock()


def test_a_status_file_that_cannot_be_written_is_reported_not_raised(root):
    error = publish(RuntimeFolder(root.path), STATUS, {})
    assert "status.json" in error and "No such file" in error


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_a_hostile_file_beside_a_file_is_neither_waited_for_nor_followed(tmp_path, make):
    """Others may write in the folder of the metrics, where a FIFO would stop the daemon."""
    path = str(tmp_path / "guard.prom")
    make(str(tmp_path / f".guard.prom.{os.getpid()}.new"))
    with in_alarm():
        assert runtime_dir.publish(path, "text") is None
    assert os.listdir(str(tmp_path)) == ["guard.prom"] and not os.path.islink(path)


def test_a_folder_beside_a_file_is_reported(tmp_path):
    (tmp_path / f".guard.prom.{os.getpid()}.new").mkdir()
    assert "guard.prom: Is a directory" in runtime_dir.publish(str(tmp_path / "guard.prom"), "text")
    assert os.listdir(str(tmp_path)) == [f".guard.prom.{os.getpid()}.new"]


@pytest.mark.parametrize(
    "why, make",
    [
        ("a FIFO", os.mkfifo),
        ("a folder", os.mkdir),
        ("a device", lambda path: os.symlink("/dev/zero", path)),
        ("huge", lambda path: subprocess.check_call(["truncate", "-s", "1T", path])),
    ],
)
def test_a_status_file_of_another_kind_is_neither_waited_for_nor_read(root, why, make):
    os.makedirs(root.join("run/ipvs-estoff-guard"))
    make(root.join("run/ipvs-estoff-guard/status.json"))
    with in_alarm():
        assert RuntimeFolder(root.path).daemon() is None, why


def test_a_fifo_that_appears_at_the_last_moment_is_not_waited_for(tmp_path, monkeypatch):
    real = os.unlink

    def unlink(path):
        with contextlib.suppress(FileNotFoundError):
            real(path)
        os.mkfifo(path)

    monkeypatch.setattr(files.os, "unlink", unlink)
    with in_alarm():
        assert "File exists" in runtime_dir.publish(str(tmp_path / "guard.prom"), "text")


def test_a_file_is_replaced_atomically_and_everybody_may_read_it(tmp_path):
    path = tmp_path / "x.prom"
    path.write_text("old")
    reader = open(str(path))
    mask = os.umask(0o077)
    try:
        assert runtime_dir.publish(str(path), "new") is None
    finally:
        os.umask(mask)
    assert reader.read() == "old" and path.read_text() == "new"
    reader.close()
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(str(tmp_path)) == ["x.prom"]


def test_a_file_that_cannot_be_written_is_reported_with_its_path(tmp_path):
    error = runtime_dir.publish(str(tmp_path / "nowhere" / "x.prom"), "text")
    assert error == f"{tmp_path}/nowhere/x.prom: No such file or directory"
