"""Somebody else's program beside the guard: looks up a sysctl, or mounts and unmounts.

Times are wall time in microseconds, Python's own part (about one) included.
"""

import ctypes
import json
import os
import select
import statistics
import sys
import time

LOOKED_UP = "/proc/sys/net/ipv4/ip_forward"
MOUNTED = b"/mnt"
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000  # linux/sched.h, linux/mount.h

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def lookups(count):
    """Open a sysctl again and again; return the median of the times."""
    return statistics.median(_timed(_look_up) for _ in range(int(count)))


def mounts():
    """Mount and unmount a tmpfs, in a mount namespace of its own, until the input ends."""
    checked(libc.unshare(CLONE_NEWNS))
    checked(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    samples = [_timed(_mount)]
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        samples.append(_timed(_mount))
    return samples


def _timed(action):
    began_ns = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - began_ns) / 1000


def _look_up():
    os.close(os.open(LOOKED_UP, os.O_RDONLY))


def _mount():
    checked(libc.mount(b"other", MOUNTED, b"tmpfs", ctypes.c_ulong(0), None))
    checked(libc.umount2(MOUNTED, 0))


COMMANDS = (lookups, mounts)

if __name__ == "__main__":
    (chosen,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    print(json.dumps(chosen(*sys.argv[2:])))
