"""Reads the names and namespaces of processes, and the status of one.

It does only what psutil 5.4 cannot do. name() of psutil also reads /proc/PID/cmdline if a name has
15 characters and so may be cut short. This read blocks as long as the memory map of the process is
locked, and never returns if the kernel hangs. psutil also reads only the /proc of the running
system, and no capabilities.
"""

import os
from typing import Dict, List, Optional

from ipvsd.doctor.check_environment import parse_status
from ipvsd.doctor.check_ipvs_usage import Program
from ipvsd.model import Identity

# 15 characters and a newline; kernel threads have more (proc_task_name, fs/proc/array.c).
_COMM_BYTES = 64
_STATUS_BYTES = 64 * 1024


def programs(root: str, host: Identity) -> List[Program]:
    """Return the processes, and whether each is in the host's namespace."""
    proc = os.path.join(root, "proc")
    found = []
    try:
        names = os.listdir(proc)
    except FileNotFoundError:
        return []  # the root is an image, in which nothing runs
    for pid in sorted(int(name) for name in names if name.isdigit()):
        comm = _read(f"{proc}/{pid}/comm", _COMM_BYTES)
        if comm:  # otherwise the process has ended
            found.append(Program(pid, comm.rstrip("\n"), _is_in(f"{proc}/{pid}/ns/net", host)))
    return found


def are_hidden(root: str) -> bool:
    """Return whether /proc, mounted with hidepid=1 or 2, hides processes of other users."""
    is_mounted = os.path.lexists(os.path.join(root, "proc/self"))
    return is_mounted and not os.access(os.path.join(root, "proc/1/stat"), os.R_OK)


def status(root: str, pid: int) -> Dict[str, str]:
    """Return the fields of the status file of a process, none if the process has ended."""
    return parse_status(_read(os.path.join(root, "proc", str(pid), "status"), _STATUS_BYTES))


def _is_in(path: str, host: Identity) -> Optional[bool]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) == host


def _read(path: str, size: int) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(size))
    except OSError:
        return ""
