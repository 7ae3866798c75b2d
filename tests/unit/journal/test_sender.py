"""Sending journal entries: their fields, and lines on stderr where no journal is."""

import io
import os
import socket

import pytest

from ipvsd.journal import events, sender
from ipvsd.journal.events import Kind


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream, expected", [(io.StringIO, "<6>text\n"), (Terminal, "text\n")])
def test_lines_on_stderr_have_a_priority_unless_a_person_reads(stream, expected):
    stderr = stream()
    with sender.connected({}, stderr) as send:
        send(events.plain(Kind.STOPPED, "text"))
    assert stderr.getvalue() == expected


def test_the_journal_stream_of_another_process_is_not_used():
    stderr = io.StringIO()
    with sender.connected({"JOURNAL_STREAM": "1:2"}, stderr) as send:
        send(events.plain(Kind.STOPPED, "text"))
    assert stderr.getvalue() == "<6>text\n"


@pytest.fixture
def journald(tmp_path):
    """Make a stand-in for journald; yield its socket, a stderr, and the function that sends."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, open(os.devnull) as stream:
        receiver.bind(path)
        receiver.setblocking(False)
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        stderr = Stream(stream.fileno())
        with sender.connected(environ, stderr, path) as send:
            yield receiver, stderr, send


class Stream(io.StringIO):
    """A text stream that claims the descriptor of another file."""

    def __init__(self, descriptor):
        super().__init__()
        self._descriptor = descriptor

    def fileno(self):
        return self._descriptor


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
    assert stderr.getvalue() == ""


def test_a_journal_that_does_not_read_is_never_waited_for(journald):
    receiver, stderr, send = journald
    event = events.plain(Kind.STOPPED, "text")
    sent = 0
    while send(event):
        sent += 1
    assert sent > 0 and stderr.getvalue() == ""
    receiver.recv(4096)
    assert send(event)


def test_without_journald_an_entry_is_a_line(journald):
    receiver, stderr, send = journald
    receiver.close()
    assert send(events.plain(Kind.STOPPED, "text"))
    assert stderr.getvalue() == "<6>text\n"
