"""The socket filter, attached to a socket of this process and run by the kernel."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.kernel import uevent_filter

PATH = "/module/ip_vs"


@pytest.fixture(scope="module")
def accepted():
    """Return a function that sends messages and returns those that the filter accepts."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    uevent_filter.attach(receiver, uevent_filter.only_about(PATH))

    def send(*messages):
        received = []
        for message in messages:
            sender.send(message)
            try:
                received.append(receiver.recv(4096))
            except BlockingIOError:
                pass
        return received

    yield send
    sender.close()
    receiver.close()


@pytest.mark.parametrize(
    "action", ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"]
)
def test_every_action_on_the_device_is_accepted(accepted, action):
    message = f"{action}@{PATH}\0ACTION={action}\0DEVPATH={PATH}\0".encode()
    assert accepted(message) == [message]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"add",
        b"add@",
        b"add@/module/ip_v",
        b"add@/module/ip_vs",  # no end
        b"add@/module/ip_vs_rr\0ACTION=add\0",
        b"add@/module/ip_vt\0ACTION=add\0",
        b"add@/devices/module/ip_vs\0ACTION=add\0",
        b"change@/devices/virtual/net/lo\0ACTION=change\0DEVPATH=@/module/ip_vs\0",
        b"libudev\0\xfe\xed\xca\xfe",
    ],
)
def test_no_other_message_is_accepted(accepted, message):
    assert accepted(message) == []


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_only_messages_with_the_path_after_an_action_are_accepted(accepted, before, after):
    message = before + b"@/module/ip_vs\0" + after
    is_first = len(before) in (3, 4, 6, 7)
    assert accepted(message) == ([message] if is_first else [])
