"""Sending journal entries: their fields, and lines on stderr where no journal is."""

import contextlib
import os
import select
import socket
import termios

import pytest

from ipvsd.journal import events, sender
from ipvsd.journal.events import Kind
from tests.time_limits import in_alarm

EVENT = events.plain(Kind.STOPPED, "text")


def nowhere(line):
    pytest.fail(f"written elsewhere: {line}")


def sockets():
    return [end.detach() for end in socket.socketpair()]


@contextlib.contextmanager
def stream(kind):
    """Yield the two ends of a pipe, a terminal or a pair of sockets: to read from, to write to."""
    ends = kind()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("kind, expected", [(os.pipe, b"text\n"), (os.openpty, b"text\r\n")])
def test_lines_on_a_stderr_that_is_not_the_journal_s_are_plain(kind, expected):
    with stream(kind) as (reading, stderr), sender.connected({}, stderr, nowhere) as send:
        assert send(EVENT)
        assert os.read(reading, 100) == expected


def test_the_journal_stream_of_another_process_is_not_used():
    environ = {"JOURNAL_STREAM": "1:2"}
    with stream(os.pipe) as (reading, stderr), sender.connected(environ, stderr, nowhere) as send:
        assert send(EVENT)
        assert os.read(reading, 100) == b"text\n"


def drained(reading):
    """Return all that can be read now."""
    data = b""
    while select.select([reading], [], [], 0)[0]:
        data += os.read(reading, 65536)
    return data


@pytest.mark.parametrize(
    "kind, own_description",
    [(os.pipe, True), (os.openpty, True), (sockets, True), (os.pipe, False), (sockets, False)],
)
def test_a_stderr_that_nobody_reads_is_never_waited_for(kind, own_description, monkeypatch):
    """Lines that were accepted arrive whole and in their order; the others are refused."""
    if not own_description:
        monkeypatch.setattr(sender._Stderr, "_open_anew", lambda _stderr: None)
    with stream(kind) as (reading, stderr), sender.connected({}, stderr, nowhere) as send:
        sent = 0
        with in_alarm():
            while send(events.plain(Kind.STOPPED, f"{sent} {'x' * 300}")):
                sent += 1
        assert sent > 10
        data = drained(reading)
        assert send(EVENT)
        lines = (data + drained(reading)).decode().split()
        assert lines[:-1:2] == list(map(str, range(sent)))
        assert lines[-1].endswith("text")


def test_a_terminal_that_is_stopped_is_never_waited_for():
    """A person has pressed Ctrl-S."""
    with stream(os.openpty) as (reading, stderr), sender.connected({}, stderr, nowhere) as send:
        termios.tcflow(stderr, termios.TCOOFF)
        with in_alarm():
            assert not send(EVENT)
        termios.tcflow(stderr, termios.TCOON)
        assert send(EVENT)
        data = b""
        while not data.endswith(b"\n"):  # a terminal may give the line in pieces
            data += os.read(reading, 100)
        assert data == b"text\r\n"


def test_a_line_is_never_longer_than_a_pipe_takes_at_once():
    with stream(os.pipe) as (reading, stderr), sender.connected({}, stderr, nowhere) as send:
        assert send(events.plain(Kind.STOPPED, "ä" * 10_000))
        data = os.read(reading, 65536)
        assert len(data) <= select.PIPE_BUF and data.endswith(b"\n")


def test_a_file_is_written_elsewhere_since_its_file_system_may_be_frozen(tmp_path):
    taken, room = [], [True, False]

    def elsewhere(line):
        taken.append(line)
        return room.pop(0)

    with open(str(tmp_path / "log"), "wb") as file, sender.connected(
        {}, file.fileno(), elsewhere
    ) as send:
        assert send(EVENT)
        assert not send(EVENT)
    assert taken == [b"text\n"] * 2 and os.path.getsize(str(tmp_path / "log")) == 0


def test_a_stderr_without_a_reader_is_an_error():
    reading, stderr = os.pipe()
    with sender.connected({}, stderr, nowhere) as send:
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            send(EVENT)
    os.close(stderr)


@pytest.fixture
def journald(tmp_path):
    """Make a stand-in for journald; yield its socket, stderr's reader, the function that sends."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, stream(os.pipe) as ends:
        receiver.bind(path)
        receiver.setblocking(False)
        status = os.fstat(ends[1])
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        with sender.connected(environ, ends[1], nowhere, path) as send:
            yield receiver, ends[0], send


def test_an_entry_is_fields_and_none_can_be_forged(journald):
    receiver, stderr, send = journald
    fields = {"IPVSD_PATH": "a\nMESSAGE=forged", "IPVSD_KEY": "k"}
    assert send(events.plain(Kind.STOPPED, "text \udcff")._replace(fields=fields))
    assert receiver.recv(4096) == (
        b"MESSAGE=text \\udcff\n"
        b"MESSAGE_ID=" + Kind.STOPPED.message_id.encode() + b"\n"
        b"PRIORITY=6\nSYSLOG_IDENTIFIER=ipvs-estoff-guard\nIPVSD_EVENT=stopped\n"
        b"IPVSD_PATH=a\\nMESSAGE=forged\nIPVSD_KEY=k\n"
    )
    assert drained(stderr) == b""


def test_a_journal_that_does_not_read_is_never_waited_for(journald):
    receiver, stderr, send = journald
    event = events.plain(Kind.STOPPED, "text")
    sent = 0
    while send(event):
        sent += 1
    assert sent > 0 and drained(stderr) == b""
    receiver.recv(4096)
    assert send(event)


def test_without_journald_an_entry_is_a_line(journald):
    receiver, stderr, send = journald
    receiver.close()
    assert send(events.plain(Kind.STOPPED, "text"))
    assert drained(stderr) == b"<6>text\n"
