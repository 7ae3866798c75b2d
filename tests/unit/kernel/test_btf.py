"""Offsets of members in the kernel's structures, read from BTF."""

import os

from ipvsd.kernel import btf
from tests.made_btf import made_btf


def test_members_are_found_in_the_modules_and_the_kernels_types(root):
    kernel = made_btf(("net", {"ns": 128}), ("ns_common", {"inum": 16}))
    names = len(btf._section(kernel, 16))
    module = made_btf(("netns_ipvs", {"gen": 0, "net": 2160}), before=names)
    os.makedirs(root.join("sys/kernel/btf"))
    for name, data in (("vmlinux", kernel), ("ip_vs", module)):
        with open(root.join(f"sys/kernel/btf/{name}"), "wb") as file:
            file.write(data)
    found = btf.members(root.path, "ip_vs", ["netns_ipvs", "net", "ns_common", "absent"])
    assert found == {
        "netns_ipvs": {"gen": 0, "net": 2160},
        "net": {"ns": 128},
        "ns_common": {"inum": 16},
    }
    assert btf.members(root.path, "built_in", ["net"]) == {"net": {"ns": 128}}


def test_the_size_of_a_bit_field_is_no_part_of_its_offset():
    data = made_btf(("s", {"field": (3 << 24) // 8 + 5}))
    assert btf.parse(data, b"", ["s"]) == {"s": {"field": 5}}
