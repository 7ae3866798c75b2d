"""Asking the kernel whether an address is one of this host."""

import socket

import pytest

from ipvsd.kernel import routes


def test_the_address_that_this_host_sends_from_is_its_own():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect(("192.0.2.77", 9))  # a datagram socket sends nothing for this
        except OSError:
            pytest.skip("this host has no route")
        assert routes.is_own(sender.getsockname()[0]) is True


@pytest.mark.parametrize(
    "address, own",
    [
        ("127.0.0.1", True),
        ("127.9.8.7", True),
        ("192.0.2.77", False),  # for documentation; without a route it is not of this host either
        ("999.1.1.1", None),
        ("nowhere", None),
        ("", None),
    ],
)
def test_addresses_of_this_host(address, own):
    assert routes.is_own(address) in ((own, None) if own is False else (own,))
