"""Lets the calling thread use every CPU for a moment: the kernel looks at who writes est_cpulist.

It takes the CPUs that are in the list and that the writer may use (cpumask_and() with
current->cpus_mask in ipvs_proc_est_cpumask_set(), net/netfilter/ipvs/ip_vs_ctl.c). Written by a
service with CPUAffinity=, the list can become empty, and then no estimation runs.
"""

import contextlib
import os
from typing import Iterator

# NR_CPUS of the largest kernels; the kernel ignores those that it has not.
_CPUS_MAX = 8192


@contextlib.contextmanager
def every_cpu() -> Iterator[None]:
    """Give the calling thread all CPUs that its control group allows, and its own ones at the end.

    Where a sandbox forbids that, nothing changes: whether the list is right, its reader sees.
    """
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, range(_CPUS_MAX))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
