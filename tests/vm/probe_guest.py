"""Counts calls of a kernel function by a kprobe in the guest; probe.py runs it there."""

import os
import re
import struct
import sys
from pathlib import Path

TRACEFS = Path("/sys/kernel/tracing")
# Names of our own: the guard has a probe and an instance too.
INSTANCE = TRACEFS / "instances" / "harness"
EVENT = "harness/call"

# From Linux 6.2 on a thread calls this for a chain of estimators, and does not exist at 0.
CHAIN = "ip_vs_chain_estimation"
# Before, a timer ticks at 0 too, and then returns at once: so we need the value that it reads.
TIMER = "estimation_timer"

BTF = Path("/sys/kernel/btf")
# linux/btf.h: what follows a type of each kind: bytes, and bytes for each of its members.
SIZES = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0),
         15: (0, 12), 17: (4, 0), 19: (0, 12)}  # fmt: skip
STRUCT = 4


def start(place, filtered=""):
    """Count calls of a function, "MODULE:FUNCTION" for one of a module that may come and go."""
    stop()
    define(f"p:{EVENT} {place}")
    INSTANCE.mkdir()
    (INSTANCE / "trace_clock").write_text("mono")
    event = INSTANCE / "events" / EVENT
    if filtered:
        (event / "filter").write_text(filtered)
    (event / "enable").write_text("1")


def start_estimation_runs():
    """Count estimation runs that do work; ip_vs is loaded."""
    with open("/proc/kallsyms") as file:
        symbols = [line.split()[2] for line in file if line.endswith("[ip_vs]\n")]
    if CHAIN in symbols:
        start(f"ip_vs:{CHAIN}")
        return
    # The timer is a member of the struct that has the value.
    members = struct_members("ip_vs", "netns_ipvs")
    distance = members["sysctl_run_estimation"] - members["est_timer"]
    start(f"ip_vs:{TIMER} run={distance:+}($arg1):s32", "run != 0")


def moments():
    """Return when the calls since the start were, in seconds of the monotonic clock."""
    trace = (INSTANCE / "trace").read_text()
    return [float(moment) for moment in re.findall(r" (\d+\.\d+): ", trace)]


def count():
    """Print how many calls there were since the start."""
    print(len(moments()))


def stop():
    """Remove the probe."""
    if INSTANCE.exists():
        (INSTANCE / "events" / EVENT / "enable").write_text("0")
        INSTANCE.rmdir()
    if EVENT in (TRACEFS / "kprobe_events").read_text():
        define(f"-:{EVENT}")


def define(text):
    # For appending: the kernel removes all probes when the file is opened for writing. Not by
    # open(), which seeks to the end, and the file has none.
    descriptor = os.open(TRACEFS / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, text.encode() + b"\n")
    os.close(descriptor)


def struct_members(module, name):
    """Return the offsets of a struct's members, in bytes, from the BTF of a module."""
    base = (BTF / "vmlinux").read_bytes()
    own = (BTF / module).read_bytes()
    # One numbering for the names in both files, the kernel's own first.
    strings = section(base, 16) + section(own, 16)

    def text(offset):
        return strings[offset : strings.index(b"\0", offset)].decode()

    types = section(own, 8)
    at = 0
    while at < len(types):
        name_at, info, _ = struct.unpack_from("<III", types, at)
        at += 12
        kind, number = info >> 24 & 0x1F, info & 0xFFFF
        fixed, each = SIZES.get(kind, (0, 0))
        if kind == STRUCT and text(name_at) == name:
            members = struct.iter_unpack("<III", types[at : at + number * each])
            # Beside the offset in bits there may be the size of a bit field.
            return {text(member): (bits & 0xFFFFFF) // 8 for member, _, bits in members}
        at += fixed + number * each
    raise LookupError(name)


def section(data, field):
    """Return the part of BTF whose offset and length are at this place in the header."""
    (header,) = struct.unpack_from("<I", data, 4)
    offset, length = struct.unpack_from("<II", data, field)
    return data[header + offset :][:length]


COMMANDS = (start, start_estimation_runs, count, stop)

if __name__ == "__main__":
    (command,) = (command for command in COMMANDS if command.__name__ == sys.argv[1])
    command(*sys.argv[2:])
