"""What an ordinary user can do to others, in the guest; and what others notice of it.

test_neighbours.py and the bench run it there.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import spaces_guest

PR_SET_DUMPABLE = 4  # linux/prctl.h
PROCESSES = 3
VALUE = "/proc/sys/net/ipv4/vs/run_estimation"
READ_AGAIN_S = 0.02
LIMIT_S = 60
WORK, PAUSE_S = 50_000, 0.25
PIECES = []  # the CPU times of pieces of work
# A service has spent what it may spend in advance when it uses no more than this share of a CPU
# in so many seconds; or it never will.
SHARE, SETTLED_S, SETTLE_WITHIN_S = 0.1, 10, 90


def attack(name, count):
    """Do what an ordinary user can do to a guard, notify systemd, and go on.

    `count` is the number of descriptors or of namespaces; a storm has none.
    """
    if name == "descriptors":
        for _ in range(PROCESSES):
            spaces_guest.forked(lambda: _open_many(int(count) // PROCESSES))
    elif name == "namespaces":
        spaces_guest.burst(int(count), spaces_guest.NEWUSER)
    spaces_guest.notify_ready()
    if name == "namespaces":
        signal.pause()
    # A birth that no scan finds has a guard search where it costs more.
    wait = "sleep 1" if name == "descriptors" else ":"
    os.execv("/bin/sh", ["sh", "-c", f"while unshare -Urn true; do {wait}; done"])


def _open_many(count):
    libc = ctypes.CDLL(None, use_errno=True)
    spaces_guest.checked(libc.prctl(PR_SET_DUMPABLE, 0))
    first = os.open("/dev/null", os.O_RDONLY)
    for _ in range(count):
        spaces_guest.checked(libc.dup(first))


def another(unit, count, seconds):
    """Print how long each of another's namespaces was on, and the share of a CPU of a service.

    The namespaces of the first part are made until the service has settled; those of the second in
    the time in which its share is measured.
    """
    group = control_group(unit)
    settled, deadline = False, time.monotonic() + SETTLE_WITHIN_S
    before = []
    while not settled and time.monotonic() < deadline:
        on, share = _beside(group, 2, SETTLED_S)
        before += on
        settled = share <= SHARE
    after, share = _beside(group, int(count), float(seconds))
    print(
        json.dumps(
            {
                "before_s": before,
                "after_s": after,
                "share": share,
                "settled": settled,
                "slowed_down": sum(PIECES) / len(PIECES) / _quickly(),
            }
        )
    )


def _beside(group, count, seconds):
    """Make namespaces, at the same distance; return how long each was on, and the share.

    An emulated machine counts as CPU time also that in which other programs of its host run. The
    time of a piece of work, beside that of the quickest tenth, shows how much that is.
    """
    began, spent = time.monotonic(), cpu_usec(group)
    on, pieces = [], []
    for number in range(count):
        on.append(_time_on())
        while time.monotonic() < began + seconds * (number + 1) / count:
            pieces.append(_time_of_work())
            time.sleep(PAUSE_S)
    share = (cpu_usec(group) - spent) / 1e6 / (time.monotonic() - began)
    PIECES.extend(pieces)
    return on, share * _quickly() * len(pieces) / sum(pieces)


def _quickly():
    return sorted(PIECES)[len(PIECES) // 10]


def _time_of_work():
    began = time.thread_time()
    for _ in range(WORK):
        pass
    return time.thread_time() - began


def _time_on():
    """Make a namespace; return for how many seconds estimation was on there."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            spaces_guest.unshare(spaces_guest.NEWNET)
            born = time.monotonic()
            while Path(VALUE).read_text() != "0\n" and time.monotonic() < born + LIMIT_S:
                time.sleep(READ_AGAIN_S)
            os.write(writer, str(time.monotonic() - born).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as text:
        took = float(text.read())
    os.waitpid(child, 0)
    return took


def control_group(unit):
    """Return the folder of a service's control group."""
    command = ["systemctl", "show", "--value", "--property=ControlGroup", unit]
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Path("/sys/fs/cgroup" + shown.strip())


def cpu_usec(group):
    """Return the CPU time of all processes of a control group, also of those that have ended."""
    stat = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(stat["usage_usec"])


COMMANDS = (attack, another)

if __name__ == "__main__":
    (command,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    command(*sys.argv[2:])
