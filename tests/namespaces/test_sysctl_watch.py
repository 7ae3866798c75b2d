"""Writes to a sysctl of the own namespace, and changes of the mount table."""

import os
import select

import pytest

from ipvsd.kernel.mounts import MountTable
from ipvsd.kernel.sysctl_watch import WriteWatch
from tests.namespaces.stand_in import FILE, read

OTHER = "/proc/sys/net/ipv4/ip_no_pmtu_disc"


def rewrite(path=FILE):
    """Write the value that the file has already: a write without a change."""
    with open(path, "r+", encoding="ascii") as file:
        text = file.read()
        file.seek(0)
        file.write(text)


def watches(watch):
    with open(f"/proc/self/fdinfo/{watch.fileno()}", encoding="ascii") as file:
        return sum(line.startswith("inotify") for line in file)


@pytest.fixture
def watch():
    made = WriteWatch()
    made.arm(FILE)
    yield made
    made.close()


def ready(watch, timeout_s=20):
    return bool(select.select([watch.fileno()], [], [], timeout_s)[0])


def test_a_write_is_reported_once_and_a_read_is_not(watch):
    read()
    assert not ready(watch, 0) and not watch.drain()
    rewrite()
    assert ready(watch) and watch.drain()
    assert not watch.drain()


def test_several_writes_are_one_event(watch):
    for _ in range(100):
        rewrite()
    assert watch.drain() and not watch.drain()


def test_a_write_to_another_file_is_not_reported(watch):
    rewrite(OTHER)
    assert not watch.drain()


def test_a_write_after_disarming_is_not_reported(watch):
    watch.disarm()
    watch.drain()  # the kernel reports that the watch is removed
    rewrite()
    assert not ready(watch, 0) and not watch.drain()
    assert watches(watch) == 0


def test_arming_again_leaves_one_watch_and_one_descriptor(watch):
    before = len(os.listdir("/proc/self/fd"))
    for path in [OTHER, FILE] * 20:
        watch.arm(path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert watches(watch) == 1
    while watch.drain():
        pass
    rewrite(OTHER)
    assert not watch.drain()
    rewrite()
    assert watch.drain()


def test_arming_a_missing_file_raises_and_leaves_nothing(watch):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        watch.arm("/proc/sys/net/ipv4/vs-nowhere")
    assert len(os.listdir("/proc/self/fd")) == before - 1, "the watch of the file before is removed"
    assert watches(watch) == 0
    watch.arm(FILE)


def test_disarming_twice_is_no_error(watch):
    watch.disarm()
    watch.disarm()


def mounter(holders):
    """Start a process with its own mount table; return it and a function that commands it."""
    script = (
        'while read word; do case $word in mount) mount -t tmpfs x "$0";; *) umount "$0";; esac;'
        " echo done; done"
    )
    child = holders.spawn(["unshare", "-m", "sh", "-c", "echo ready; " + script, holders.folder])
    assert child.stdout.readline() == b"ready\n"

    def command(word):
        child.stdin.write(word + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n"

    return child, command


def test_mounting_and_unmounting_are_urgent_events_once_each(holders):
    child, command = mounter(holders)
    table = MountTable(f"/proc/{child.pid}/mountinfo")
    waiting = select.epoll()
    waiting.register(table.fileno(), select.EPOLLPRI)
    try:
        waiting.poll(0)
        assert waiting.poll(0) == []
        for word in (b"mount", b"umount", b"mount"):
            command(word)
            ((descriptor, events),) = waiting.poll(20)
            assert descriptor == table.fileno() and events & select.EPOLLPRI
            assert waiting.poll(0) == [], "no second event, though nothing was read"
    finally:
        waiting.close()
        table.close()


def test_a_missing_mount_table_raises():
    with pytest.raises(FileNotFoundError):
        MountTable("/proc/0/mountinfo")
