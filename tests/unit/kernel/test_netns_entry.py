"""Numbers of the kernel's interface that differ between architectures."""

import pytest

from ipvsd.kernel import netns_entry


@pytest.mark.parametrize(
    "machine, number",
    [
        ("x86_64", 0xB701),
        ("i686", 0xB701),
        ("aarch64", 0xB701),
        ("armv7l", 0xB701),
        ("riscv64", 0xB701),
        ("s390x", 0xB701),
        ("loongarch64", 0xB701),
        ("parisc64", 0xB701),
        ("ppc64le", 0x2000B701),
        ("ppc64", 0x2000B701),
        ("ppc", 0x2000B701),
        ("mips", 0x2000B701),
        ("mips64", 0x2000B701),
        ("sparc64", 0x2000B701),
        ("alpha", 0x2000B701),
        ("sw_64", 0x2000B701),
    ],
)
def test_the_request_for_the_owner_is_that_of_the_architecture(machine, number):
    assert netns_entry.ns_get_userns(machine) == number
