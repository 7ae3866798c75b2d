"""The system around the guard: files, notification socket, journal."""

import contextlib
import functools
import io
import json
import os
import socket
import stat
import subprocess

import pytest

from ipvsd.config import files as config_files
from ipvsd.enforce.memory import Memory
from ipvsd.journal import events, sender
from ipvsd.journal.events import Kind
from ipvsd.model import Exit, GuardError, Mode
from ipvsd.status import documents, runtime_dir
from ipvsd.status.runtime_dir import EVENTS, NAMESPACES, STATUS, RuntimeFolder
from ipvsd.system import files, sd_notify
from tests.unit.test_hostile import in_alarm

ETC = "etc/ipvs-estoff-guard"


def load(root):
    return config_files.load(config_files.places(root.path))


def test_drop_ins_are_read_by_name_after_the_main_file(root):
    root.configure("[guard]\nmode=observe\n", "conf.d/20-b.conf")
    root.configure("[guard]\nmode=enforce\nresync=9s\n", "conf.d/10-a.conf")
    root.configure("[guard]\nresync=8s\n")
    root.configure("nonsense", "conf.d/.hidden.conf")
    root.configure("nonsense", "conf.d/backup.conf~")
    config = load(root)
    assert config.policy.mode is Mode.OBSERVE
    (resync,) = [option for option in config.options if option.key == "resync"]
    assert resync.origin == root.join(ETC + "/conf.d/10-a.conf") + ":3"


def test_no_files_are_the_defaults(root):
    root.unconfigure()
    assert load(root) == config_files.load(config_files.Places(root.join("nowhere")))


def test_a_drop_in_that_is_dev_null_counts_as_empty(root):
    os.symlink("/dev/null", root.join(ETC + "/conf.d/a.conf"))
    assert load(root).warnings == ()


@pytest.mark.parametrize(
    "why, make, reason",
    [
        ("a folder", os.mkdir, "Is a directory"),
        ("a FIFO must not stop the daemon", os.mkfifo, "not a regular file"),
        ("a device", lambda path: os.symlink("/dev/zero", path), "not a regular file"),
        ("a loop", lambda path: os.symlink(path, path), "Too many levels of symbolic links"),
        ("not text", lambda path: _write(path, b"[guard]\n\xff\n"), ":2: is not UTF-8 text"),
        ("huge", lambda path: _write(path, b"#" * (1024 * 1024 + 1)), "larger than"),
    ],
)
def test_a_strange_file_is_refused_with_its_path(root, why, make, reason):
    path = root.join(ETC + "/conf.d/a.conf")
    make(path)
    with pytest.raises(GuardError) as refused:
        load(root)
    assert str(refused.value).startswith(path) and reason in str(refused.value), why
    assert refused.value.code is Exit.USAGE


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)


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


@pytest.mark.parametrize("name, mode", [(STATUS, 0o644), (EVENTS, 0o600), (NAMESPACES, 0o600)])
def test_a_file_is_whole_and_only_what_tells_of_no_namespace_is_for_all(root, name, mode):
    runtime = RuntimeFolder(root.path)
    runtime.lock()
    document = dict(DOCUMENTS[name], version=1)
    assert runtime.publish(name, document) is None
    assert "pid" not in document
    path = root.join("run/ipvs-estoff-guard/" + name)
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    assert json.loads(root.read("run/ipvs-estoff-guard/" + name))["pid"] == os.getpid()
    assert runtime.daemon(name)["version"] == 1
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(["lock", name])
    runtime.withdraw()
    assert runtime.daemon(name) is None
    assert os.listdir(os.path.dirname(path)) == ["lock"]
    assert stat.S_IMODE(os.stat(root.join("run/ipvs-estoff-guard/lock")).st_mode) == 0o600
    runtime.unlock()


def test_the_status_and_the_namespaces_are_files_of_their_own(root):
    os.makedirs(root.join("run/ipvs-estoff-guard"))
    runtime = RuntimeFolder(root.path)
    runtime.publish(STATUS, dict(DOCUMENTS[STATUS], version=2))
    runtime.publish(NAMESPACES, {"namespaces": []})
    assert runtime.daemon()["version"] == 2
    assert runtime.daemon(NAMESPACES)["namespaces"] == []


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
def test_a_status_file_of_a_dead_daemon_or_of_another_version_does_not_count(root, change):
    runtime = RuntimeFolder(root.path)
    os.makedirs(root.join("run/ipvs-estoff-guard"))
    runtime.publish(STATUS, DOCUMENTS[STATUS])
    assert runtime.daemon() is not None
    document = json.loads(root.read("run/ipvs-estoff-guard/status.json"))
    root.write("run/ipvs-estoff-guard/status.json", json.dumps(dict(document, **change)))
    assert runtime.daemon() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\x00"])
def test_a_broken_status_file_does_not_count(root, text):
    root.write("run/ipvs-estoff-guard/status.json", text)
    assert RuntimeFolder(root.path).daemon() is None


def test_a_second_lock_is_refused_in_one_line(root):
    first, second = RuntimeFolder(root.path), RuntimeFolder(root.path)
    first.lock()
    with pytest.raises(GuardError, match="another ipvsd is running"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_status_file_that_cannot_be_written_is_told_not_raised(root):
    error = RuntimeFolder(root.path).publish(STATUS, {})
    assert "status.json" in error and "No such file" in error


@pytest.fixture
def manager(tmp_path):
    """A service manager's end of the notification socket."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(5)
        yield server, {"NOTIFY_SOCKET": path}


@pytest.fixture
def notifier(manager, monkeypatch):
    server, environ = manager
    monkeypatch.setenv("NOTIFY_SOCKET", environ["NOTIFY_SOCKET"])
    made = sd_notify.Notifier(environ)
    yield made, server
    made.close()


def test_ready_and_status_come_in_one_message(notifier):
    made, server = notifier
    made.ready("1 sysctl as wanted")
    assert server.recv(4096) == b"READY=1\nSTATUS=1 sysctl as wanted"


def test_a_status_is_sent_when_it_is_new_and_always_as_ascii(notifier):
    made, server = notifier
    made.ready("same")
    server.recv(4096)
    made.status("same")
    made.status("\u2713 new")
    assert server.recv(4096) == b"STATUS=\\u2713 new"


def test_reloading_carries_the_time_that_systemd_asks_for(notifier):
    made, server = notifier
    made.reloading(5_000_000)
    assert server.recv(4096) == b"RELOADING=1\nMONOTONIC_USEC=5000"


def test_a_manager_that_does_not_read_never_blocks(notifier):
    made, _ = notifier
    for _ in range(1000):
        made.watchdog()


def test_what_a_manager_did_not_read_is_told_again_in_its_order(notifier):
    made, server = notifier
    server.setblocking(False)
    for _ in range(1000):
        made.watchdog()
    made.reloading(5_000)
    made.ready("done")
    for _ in range(1000):
        made.watchdog()
    assert set(all_messages(server)) == {b"WATCHDOG=1"}
    made.watchdog()
    kept = [b"RELOADING=1\nMONOTONIC_USEC=5", b"READY=1\nSTATUS=done"]
    assert all_messages(server) == [*kept, b"WATCHDOG=1"]


def all_messages(server):
    received = []
    with contextlib.suppress(BlockingIOError):
        while True:
            received.append(server.recv(4096))
    return received


def test_without_a_manager_nothing_is_sent():
    sd_notify.Notifier({}).ready("nobody listens")


def test_a_socket_that_cannot_be_used_is_an_error_at_start(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    with pytest.raises(GuardError, match="cannot talk to systemd"):
        sd_notify.Notifier({"NOTIFY_SOCKET": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60 * 10**9),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60 * 10**9),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_watchdog_is_fed_only_when_it_watches_us(environ, expected):
    assert sd_notify.watchdog_ns(environ) == expected


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream, expected", [(io.StringIO, "<6>text\n"), (Terminal, "text\n")])
def test_lines_on_stderr_have_a_priority_unless_a_person_reads(stream, expected):
    stderr = stream()
    sender.connect({}, stderr)(events.plain(Kind.STOPPED, "text"))
    assert stderr.getvalue() == expected


def test_a_foreign_journal_stream_is_not_ours():
    stderr = io.StringIO()
    sender.connect({"JOURNAL_STREAM": "1:2"}, stderr)(events.plain(Kind.STOPPED, "text"))
    assert stderr.getvalue() == "<6>text\n"


@pytest.fixture
def journald(tmp_path):
    """What stands for journald: a socket that its messages can be read from, and the way to it."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, open(os.devnull) as stream:
        receiver.bind(path)
        receiver.setblocking(False)
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        stderr = Stream(stream.fileno())
        yield receiver, stderr, functools.partial(sender.connect, environ, stderr, path)


class Stream(io.StringIO):
    """Text that claims to go where a descriptor leads."""

    def __init__(self, descriptor):
        super().__init__()
        self._descriptor = descriptor

    def fileno(self):
        return self._descriptor


def test_an_entry_is_fields_and_none_can_be_forged(journald):
    receiver, stderr, connect = journald
    send = connect()
    fields = {"IPVSD_PATH": "a\nMESSAGE=forged", "IPVSD_KEY": "k"}
    assert send(events.plain(Kind.STOPPED, "text \udcff")._replace(fields=fields))
    assert receiver.recv(4096) == (
        b"MESSAGE=text \\udcff\n"
        b"MESSAGE_ID=" + Kind.STOPPED.message_id.encode() + b"\n"
        b"PRIORITY=6\nSYSLOG_IDENTIFIER=ipvs-estoff-guard\nIPVSD_EVENT=stopped\n"
        b"IPVSD_PATH=a\\nMESSAGE=forged\nIPVSD_KEY=k\n"
    )
    assert stderr.getvalue() == ""


def test_a_journal_that_does_not_read_is_never_waited_for(journald):
    receiver, stderr, connect = journald
    send = connect()
    event = events.plain(Kind.STOPPED, "text")
    sent = 0
    while send(event):
        sent += 1
    assert sent > 0 and stderr.getvalue() == ""
    receiver.recv(4096)
    assert send(event)


def test_without_journald_an_entry_is_a_line(journald):
    receiver, stderr, connect = journald
    send = connect()
    receiver.close()
    assert send(events.plain(Kind.STOPPED, "text"))
    assert stderr.getvalue() == "<6>text\n"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_what_somebody_has_put_beside_a_file_is_neither_waited_for_nor_followed(tmp_path, make):
    """Metrics go to a folder in which others may write: a FIFO there would stop the daemon."""
    path = str(tmp_path / "guard.prom")
    make(str(tmp_path / ".guard.prom.new"))
    with in_alarm():
        assert runtime_dir.publish(path, "text") is None
    assert os.listdir(str(tmp_path)) == ["guard.prom"] and not os.path.islink(path)


def test_a_folder_beside_a_file_is_told(tmp_path):
    (tmp_path / ".guard.prom.new").mkdir()
    assert "guard.prom: Is a directory" in runtime_dir.publish(str(tmp_path / "guard.prom"), "text")
    assert os.listdir(str(tmp_path)) == [".guard.prom.new"]


@pytest.mark.parametrize(
    "why, make",
    [
        ("a FIFO", os.mkfifo),
        ("a folder", os.mkdir),
        ("a device", lambda path: os.symlink("/dev/zero", path)),
        ("huge", lambda path: subprocess.check_call(["truncate", "-s", "1T", path])),
    ],
)
def test_a_status_file_that_is_none_is_neither_waited_for_nor_read(root, why, make):
    os.makedirs(root.join("run/ipvs-estoff-guard"))
    make(root.join("run/ipvs-estoff-guard/status.json"))
    with in_alarm():
        assert RuntimeFolder(root.path).daemon() is None, why


def test_nor_what_is_put_there_at_the_last_moment(tmp_path, monkeypatch):
    real = os.unlink

    def unlink(path):
        with contextlib.suppress(FileNotFoundError):
            real(path)
        os.mkfifo(path)

    monkeypatch.setattr(files.os, "unlink", unlink)
    with in_alarm():
        assert "File exists" in runtime_dir.publish(str(tmp_path / "guard.prom"), "text")
