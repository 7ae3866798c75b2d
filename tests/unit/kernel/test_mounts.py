"""Parsing the mount table: namespaces that are mounted, and hostile lines."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.kernel import mounts
from ipvsd.kernel.mounts import NamespaceMount
from tests.time_limits import in_time


def parsed(table):
    return list(mounts.parse(table.split(b"\n")))


WEB = b"42 27 0:4 net:[4026532246] /run/netns/web rw shared:5 - nsfs nsfs rw"


@pytest.mark.parametrize(
    "why, line, path",
    [
        ("of `ip netns add`", WEB, "/run/netns/web"),
        ("without optional fields", WEB.replace(b" shared:5", b""), "/run/netns/web"),
        ("with several", WEB.replace(b"shared:5", b"shared:5 master:2"), "/run/netns/web"),
        ("a blank", WEB.replace(b"netns/web", rb"a\040b"), "/run/a b"),
        ("a tab", WEB.replace(b"netns/web", rb"a\011b"), "/run/a\tb"),
        ("a line end", WEB.replace(b"netns/web", rb"a\012b"), "/run/a\nb"),
        ("a backslash", WEB.replace(b"netns/web", rb"a\134b"), "/run/a\\b"),
        ("an escape that is not one", WEB.replace(b"netns/web", rb"a\134040b"), "/run/a\\040b"),
        ("another octal", WEB.replace(b"netns/web", rb"a\043b"), "/run/a#b"),
        ("no text in any encoding", WEB.replace(b"netns/web", b"\xff"), "/run/\udcff"),
        ("other white space is not escaped", WEB.replace(b"netns/web", b"a\x0bb"), "/run/a\x0bb"),
        ("a carriage return is not escaped", WEB.replace(b"netns/web", b"a\rb"), "/run/a\rb"),
        ("a path that looks like the rest", WEB.replace(b"web", b"-"), "/run/netns/-"),
    ],
)
def test_a_namespace_that_is_mounted(why, line, path):
    (found,) = parsed(b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n" + line + b"\n")
    assert found == NamespaceMount(42, os.makedev(0, 4), 4026532246, path), why
    assert os.fsdecode(os.fsencode(found.path)) == found.path


@pytest.mark.parametrize(
    "why, line",
    [
        ("a disk", b"1 0 8:1 / / rw - ext4 /dev/sda1 rw"),
        ("another kind of namespace", WEB.replace(b"net:", b"mnt:")),
        ("a folder named like a namespace", WEB.replace(b"net:[", b"/net:[")),
        ("another file system in a folder of that name", WEB.replace(b"- nsfs", b"- tmpfs")),
        ("a source with that name", WEB.replace(b"- nsfs nsfs", b"- tmpfs nsfs ")),
        ("without an inode", WEB.replace(b"4026532246", b"")),
        ("a negative inode", WEB.replace(b"4026532246", b"-1")),
        ("no path", WEB.replace(b"/run/netns/web", b"")),
        ("cut off", WEB[:40]),
        ("nothing", b""),
        ("numbers too large for a device", WEB.replace(b"0:4", b"99999999999:4")),
        ("digits without end", WEB.replace(b"0:4", b"0:" + b"9" * 10**5)),
    ],
)
def test_lines_without_a_mounted_network_namespace(why, line):
    assert parsed(line + b"\n") == [], why


def test_a_line_does_not_reach_into_the_next_one():
    torn = WEB[: WEB.index(b" - nsfs")] + b"\n" + WEB.replace(b"web", b"b").replace(b"42 ", b"43 ")
    assert [mount.path for mount in parsed(torn)] == ["/run/netns/b"]


def test_several_mounts_of_one_namespace_are_several():
    table = WEB + b"\n" + WEB.replace(b"42", b"43", 1).replace(b"web", b"b") + b"\n"
    assert [mount.mount_id for mount in parsed(table)] == [42, 43]


_PIECES = [
    b" ", b"\n", b"net:[", b"]", b"0:4", b"4026532246", b"/run", b"\\040", b"\\", b" - nsfs ", b"-",
    b"nsfs", b"42 27 0:4 net:[1] /a ", WEB, b"9" * 400, b"\x00", b"\xff", b"\r",
]  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(_PIECES)).map(b"".join)))
def test_no_text_raises(table):
    for mount in parsed(table):
        assert mount.path.startswith("/") and " nsfs " in os.fsdecode(table)


@given(st.binary(min_size=1, max_size=60).filter(lambda name: b"\x00" not in name))
def test_any_path_that_the_kernel_escapes_comes_back(name):
    path = b"/" + name
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in path)
    (found,) = parsed(WEB.replace(b"/run/netns/web", escaped))
    assert os.fsencode(found.path) == path


@pytest.mark.parametrize(
    "table",
    [
        WEB.replace(b"/run/netns/web", b"/" + b"a" * 10**6),
        WEB.replace(b"/run/netns/web", b"/" + b"\\040" * 10**5),
        b"42 27 0:4 net:[1] /a " + b" - " * 300_000 + b" nsfs ",
        b" nsfs " * 10**5,
        b"1" * 10**6 + b" nsfs ",
        (WEB + b"\n") * 10**4,
    ],
    ids=["path", "escapes", "dashes", "words", "digits", "lines"],
)
def test_megabytes_take_less_than_two_seconds(table):
    started = time.perf_counter()
    parsed(table)
    assert time.perf_counter() - started < 2


def test_the_own_table_can_be_read():
    table = mounts.read("/proc/self/mountinfo", 4)
    with open("/proc/self/mountinfo", "rb") as file:
        assert table.lines == len(file.readlines())


def test_what_is_below_a_file_system_that_somebody_serves_may_hang(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_text(
        "20 1 0:5 / / rw - ext4 /dev/vda rw\n"
        "21 20 0:40 / /mnt/a\\040b rw - fuse.sshfs host: rw\n"
        "22 20 0:41 / /srv rw - nfs4 host:/x rw\n"
    )
    table = mounts.read(str(path), 4)
    assert table.served == {"/mnt/a b", "/srv"}
    assert table.is_served("/mnt/a b/run/web") and table.is_served("/srv")
    assert not table.is_served("/mnt/a bc") and not table.is_served("/run/netns/web")


def test_thousands_of_served_mounts_and_of_namespaces_are_no_product(tmp_path):
    """An ordinary user can mount so many in a mount namespace of their own."""
    path = tmp_path / "mountinfo"
    with open(str(path), "w", encoding="ascii") as file:
        for number in range(5000):
            file.write(f"{number} 1 0:4 net:[{number + 5}] /n/{number} rw - nsfs nsfs rw\n")
            file.write(f"{number} 1 0:40 / /mnt/{number} rw - fuse x rw\n")
    with in_time(2):
        table = mounts.read(str(path), 4)
        assert all(table.is_served(one.path) for one in table.namespaces), "any may hang"
    assert len(table.served) <= 1000
