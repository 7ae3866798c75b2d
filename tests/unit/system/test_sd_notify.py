"""Messages to the service manager: sent in order, and never waited for."""

import contextlib
import os
import socket
from unittest import mock

import pytest
from hypothesis import given

from ipvsd.model import (
    GuardError,
)
from ipvsd.system import sd_notify
from tests.unit.output_checks import (
    hostile_text,
)


@pytest.fixture
def manager(tmp_path):
    """Make a service manager's end of the notification socket."""
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


def test_messages_that_a_manager_did_not_read_are_sent_again_in_order(notifier):
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
    sd_notify.Notifier({}).ready("no manager")


def test_a_socket_that_cannot_be_used_is_an_error_at_start(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    with pytest.raises(GuardError, match="cannot be used to notify systemd"):
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
def test_the_watchdog_is_fed_only_when_it_watches_this_process(environ, expected):
    assert sd_notify.watchdog_ns(environ) == expected


@given(hostile_text)
def test_systemd_gets_one_message_at_a_time(odd):
    sent = []
    notifier = sd_notify.Notifier({})
    notifier._notifier = mock.Mock()
    notifier._notifier.notify = sent.append
    notifier.ready(odd)
    (message,) = sent
    assert message.split("\n")[0] == "READY=1" and message.count("\n") == 1
    message.encode("ascii")
