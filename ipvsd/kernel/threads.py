"""The kernel threads that estimate, from Linux 6.2 on."""

import os
from typing import Dict

# "ipvs-e:NAMESPACE:NUMBER" (net/netfilter/ipvs/ip_vs_est.c, ip_vs_est_kthread_start); the first
# number counts namespaces as they got an ip_vs, the host's being 0.
_PREFIX = "ipvs-e:"


def run_times(root: str = "/") -> Dict[str, int]:
    """Return how long each has run so far, in nanoseconds, by its name.

    None are there before the first service, while estimation is off, or in a container.
    """
    found = {}
    proc = os.path.join(root, "proc")
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            name = _read(f"{proc}/{pid}/comm").strip()
            if name.startswith(_PREFIX):
                # Run time comes first (Documentation/scheduler/sched-stats.rst).
                found[name] = int(_read(f"{proc}/{pid}/schedstat").split()[0])
        except (OSError, ValueError, IndexError):
            continue  # it has ended, or the kernel keeps no such figures
    return found


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
