"""The kernel threads that estimate, from Linux 6.2 on."""

import os
from typing import Dict

# "ipvs-e:NAMESPACE:NUMBER" (net/netfilter/ipvs/ip_vs_est.c, ip_vs_est_kthread_start); the first
# number counts namespaces as they got an ip_vs, the host's being 0.
_PREFIX = "ipvs-e:"


def names(root: str = "/") -> Dict[str, str]:
    """Return their names by process id.

    None are there before the first service, while estimation is off, or in a container.
    """
    found = {}
    for pid in filter(str.isdigit, os.listdir(os.path.join(root, "proc"))):
        name = _read(root, pid, "comm").strip()
        if name.startswith(_PREFIX):
            found[pid] = name
    return found


def run_times(root: str = "/") -> Dict[str, int]:
    """Return how long each has run so far, in nanoseconds, by its name, where the kernel tells."""
    found = {}
    for pid, name in names(root).items():
        # Run time comes first (Documentation/scheduler/sched-stats.rst).
        first = _read(root, pid, "schedstat").partition(" ")[0]
        if first.isdigit():
            found[name] = int(first)
    return found


def _read(root: str, pid: str, name: str) -> str:
    """A file of a process, empty when it has ended, or the kernel has no such file."""
    try:
        with open(
            os.path.join(root, "proc", pid, name), encoding="ascii", errors="replace"
        ) as file:
            return file.read()
    except OSError:
        return ""
