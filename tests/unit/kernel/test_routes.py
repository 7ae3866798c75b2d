"""Asking the kernel whether an address is one of this host."""

import pytest

from ipvsd.kernel import routes


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
