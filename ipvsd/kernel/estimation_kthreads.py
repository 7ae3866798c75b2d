"""Reads which kernel threads estimate, from Linux 6.2 on, how long they ran, if they are safe."""

import os
from typing import Dict, Optional, Tuple

from ipvsd.kernel import btf, module

# "ipvs-e:NAMESPACE:NUMBER" (net/netfilter/ipvs/ip_vs_est.c, ip_vs_est_kthread_start). The first
# number counts namespaces in the order in which they got an ip_vs; the host's is 0.
_PREFIX = "ipvs-e:"
# Any process may give itself such a name, but it cannot set this bit of its flags (PF_KTHREAD,
# linux/sched.h). proc(5): the ninth field of stat, the seventh behind ") ".
_KERNEL_THREAD = 0x00200000
_FLAGS_FIELD = 9 - 3
_KTHREADD = "2"  # the parent of all kernel threads; seen only in the first PID namespace


# 2fd109238925 ("ipvs: fix races around est_mutex and est_cpulist", 2026), which ended the deadlock,
# added this member to the structure of a thread (include/net/ip_vs.h).
_STRUCT = "ip_vs_est_kt_data"
_MEMBER_OF_THE_FIX = "needed"


def is_fixed(root: str = "/") -> Optional[bool]:
    """Return whether the loaded ip_vs stops its threads without a deadlock; None if unknown.

    The types of the loaded module show this. No version number does, since distributions backport.
    """
    try:
        found = btf.members(root, module.NAME, (_STRUCT,))
    except (OSError, ValueError):
        return None
    return _MEMBER_OF_THE_FIX in found[_STRUCT] if _STRUCT in found else None


def names(root: str = "/") -> Dict[str, str]:
    """Return the names of the estimating kernel threads by process id.

    There are none before the first service, while estimation is off, or in a container.
    """
    found = {}
    for pid in filter(str.isdigit, os.listdir(os.path.join(root, "proc"))):
        name = _read(root, pid, "comm").strip()
        if name.startswith(_PREFIX) and _is_of_the_kernel(_read(root, pid, "stat")):
            found[pid] = name
    return found


def own_prefix(root: str = "/") -> str:
    """Return what the names of the threads of this process's namespace begin with, "" if unknown.

    Only the namespace with the number 0 is known: the first of all, in which kernel threads are.
    """
    own = _identity(root, "self")
    return f"{_PREFIX}0:" if own is not None and own == _identity(root, _KTHREADD) else ""


def run_times(root: str = "/") -> Dict[str, int]:
    """Return how many nanoseconds each thread has run so far, by the thread's name.

    A thread whose run time the kernel does not show is left out.
    """
    found = {}
    for pid, name in names(root).items():
        # The run time is the first field (Documentation/scheduler/sched-stats.rst).
        first = _read(root, pid, "schedstat").partition(" ")[0]
        if first.isdigit():
            found[name] = int(first)
    return found


def _is_of_the_kernel(stat: str) -> bool:
    fields = stat.rpartition(") ")[2].split()
    flags = fields[_FLAGS_FIELD] if len(fields) > _FLAGS_FIELD else ""
    return flags.isdigit() and bool(int(flags) & _KERNEL_THREAD)


def _identity(root: str, pid: str) -> Optional[Tuple[int, int]]:
    try:
        found = os.stat(os.path.join(root, "proc", pid, "ns/net"))
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _read(root: str, pid: str, name: str) -> str:
    """Return a file of a process, empty when the process has ended or there is no such file."""
    try:
        with open(
            os.path.join(root, "proc", pid, name), encoding="ascii", errors="replace"
        ) as file:
            return file.read()
    except OSError:
        return ""
