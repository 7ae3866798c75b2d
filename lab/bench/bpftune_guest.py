"""The half of bpftune.py that runs in the guest; prints its samples as one line of JSON.

A program answers a birth when it next enters a network namespace, by setns(2): the guard to set
the value, bpftune to look for the namespace that its BPF program has reported. Times are of the
kernel's trace clock. Nothing is measured while a service still starts: bpftune loads its programs
for half a minute, emulated, and sees no namespace before.
"""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import probe_guest
import spaces_guest

INSTANCE = probe_guest.TRACEFS / "instances" / "bench-births"
BIRTH, NEW = "p:bench/netns copy_net_ns flags=$arg1:x64", "flags & 0x40000000"  # CLONE_NEWNET
WARM_UP = 3
CALM_USEC, CALM_LIMIT_S = 100_000, 300  # CPU time in a second; how long a start may take
LINE = re.compile(r"^ *.{1,16}-(\d+) +\[\d+\] \S+ +(\d+)\.(\d{6}): (netns|sys_setns)[:(]")


def main(count, apart_s, *units):
    """Make namespaces, one after another; return the answers and the CPU time of each service."""
    _wait_until_calm(units)
    _births(WARM_UP, apart_s)
    seconds = count * apart_s
    quiet = _spent(units)
    time.sleep(seconds)
    before = _spent(units)
    probe_guest.define(BIRTH)
    INSTANCE.mkdir()
    try:
        for name, text in (("trace_clock", "mono"), ("buffer_size_kb", "4096")):
            (INSTANCE / name).write_text(text)
        (INSTANCE / "events/bench/netns/filter").write_text(NEW)
        for event in ("bench/netns", "syscalls/sys_enter_setns"):
            (INSTANCE / "events" / event / "enable").write_text("1")
        _births(count, apart_s)
        after = _spent(units)
        events = [match.groups() for match in map(LINE.match, _trace()) if match]
    finally:
        INSTANCE.rmdir()
        probe_guest.define("-:bench/netns")
    return {
        unit: {
            "answered_usec": answers(events, _threads(unit)),
            "cpu_usec": after[unit] - before[unit],
            "idle_cpu_usec": before[unit] - quiet[unit],
        }
        for unit in units
    }


def answers(events, threads):
    """Return for each birth the time until one of the threads entered a namespace, or None."""
    found, born = [], None
    for pid, seconds, micros, kind in events:
        usec = int(seconds) * 1_000_000 + int(micros)
        if kind == "netns" and int(pid) not in threads:
            found.append(None)
            born = usec
        elif kind == "sys_setns" and int(pid) in threads and born is not None:
            found[-1], born = usec - born, None
    return found


def _wait_until_calm(units):
    """Return when no service takes a tenth of a CPU any more."""
    deadline = time.monotonic() + CALM_LIMIT_S
    while True:
        before = _spent(units)
        time.sleep(1)
        now = _spent(units)
        if all(now[unit] - before[unit] < CALM_USEC for unit in units):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{', '.join(units)}: still busy after {CALM_LIMIT_S} s")


def _births(count, apart_s):
    began = time.monotonic()
    for number in range(count):
        child = spaces_guest.forked(lambda: spaces_guest.burst(1))
        time.sleep(max(0, began + (number + 1) * apart_s - time.monotonic()))
        children = Path(f"/proc/{child}/task/{child}/children").read_text().split()
        for pid in [*map(int, children), child]:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(child, 0)


def _trace():
    return (INSTANCE / "trace").read_text().splitlines()


def _group(unit):
    return Path(f"/sys/fs/cgroup/system.slice/{unit}.service")


def _threads(unit):
    """Return the ids of all threads of a service, those of threads below it too."""
    return {int(line) for file in _group(unit).rglob("cgroup.threads") for line in file.open()}


def _spent(units):
    """Return the CPU time of each service, in µs."""
    return {
        unit: int(re.search(r"usage_usec (\d+)", (_group(unit) / "cpu.stat").read_text())[1])
        for unit in units
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])))
