"""Processes: their names, their namespaces, and the status of one.

Only what psutil 5.4 cannot do. Its name() also reads /proc/PID/cmdline where a name has 15
characters, and may be cut short: that blocks for as long as the memory map of the process is
locked, without an end where the kernel hangs. It reads the /proc of the running system only, and
no capabilities.
"""

import os
from typing import Dict, List, Optional

from ipvsd.doctor.check_environment import parse_status
from ipvsd.doctor.check_ipvs_usage import Program
from ipvsd.model import Identity

# 15 characters and a newline; of kernel threads more (proc_task_name, fs/proc/array.c).
_COMM_BYTES = 64
_STATUS_BYTES = 64 * 1024


def programs(root: str, host: Identity) -> List[Program]:
    """Return the processes, and whether each is in the namespace that is the host's."""
    proc = os.path.join(root, "proc")
    found = []
    try:
        names = os.listdir(proc)
    except FileNotFoundError:
        return []  # an image, in which nothing runs
    for pid in sorted(int(name) for name in names if name.isdigit()):
        comm = _read(f"{proc}/{pid}/comm", _COMM_BYTES)
        if comm:  # otherwise it has ended
            found.append(Program(pid, comm.rstrip("\n"), _is_in(f"{proc}/{pid}/ns/net", host)))
    return found


def status(root: str, pid: int) -> Dict[str, str]:
    """Return the fields of a process's status file, none if it has ended."""
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
