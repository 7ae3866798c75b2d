"""Reads facts about processes: from /proc, and through psutil, which is optional.

Without psutil, what only it knows is unknown. It is imported at the first use: this takes 30 ms.
"""

import functools
import os
import pwd
from typing import Any, List, NamedTuple, Optional, Sequence

_PROC = "/proc"
# Fields of /proc/PID/stat (proc(5)), counted behind ") ".
_UTIME, _CSTIME, _THREADS, _START_TIME, _RSS = (number - 3 for number in (14, 17, 20, 22, 24))


class Usage(NamedTuple):
    """The resources that the processes of a service use, or have used since its start."""

    resident_bytes: int  # of the first process
    # Of all processes: memory that several of them share counts once (PSS, proc(5)). None where the
    # kernel does not report it.
    pss_bytes: Optional[int]
    cpu_ns: int
    age_ns: int  # of the first process
    descriptors: int
    threads: int
    processes: int


class Member(NamedTuple):
    """A process that is a member of a namespace.

    Its command is not read here: psutil would read /proc/PID/cmdline, which blocks as long as the
    memory map of the process is locked.
    """

    user: str
    started_s: float  # since the epoch; together with the pid it names one process


def available() -> bool:
    """Return whether psutil is installed."""
    return _psutil() is not None


def usage(pids: Sequence[int]) -> Usage:
    """Return the usage of processes; the first one is the parent of the others.

    Its CPU time includes that of its children that have ended. Raises OSError if it has ended.
    """
    main, *others = pids
    stats = [_stat(main)]
    alive = [main]
    for pid in others:
        try:
            stats.append(_stat(pid))
            alive.append(pid)
        except OSError:  # it has just ended
            continue
    ticks = os.sysconf("SC_CLK_TCK")
    used = sum(stats[0][_UTIME : _CSTIME + 1]) + sum(
        sum(one[_UTIME : _UTIME + 2]) for one in stats[1:]
    )
    with open(f"{_PROC}/uptime", encoding="ascii") as file:
        uptime_s = float(file.read().split()[0])
    return Usage(
        stats[0][_RSS] * os.sysconf("SC_PAGE_SIZE"),
        _pss_bytes(alive),
        used * 10**9 // ticks,
        int(uptime_s * 1e9) - stats[0][_START_TIME] * 10**9 // ticks,
        sum(map(_descriptors, alive)),
        sum(one[_THREADS] for one in stats),
        len(alive),
    )


def _stat(pid: int) -> List[int]:
    """Return the fields of /proc/PID/stat behind the name; the state is 0."""
    with open(f"{_PROC}/{pid}/stat", encoding="latin-1") as file:
        _state, *numbers = file.read().rpartition(") ")[2].split()
    return [0, *map(int, numbers)]


def _pss_bytes(pids: Sequence[int]) -> Optional[int]:
    found = []
    for pid in pids:
        try:
            with open(f"{_PROC}/{pid}/smaps_rollup", encoding="latin-1") as file:  # Linux 4.14
                found += [int(line.split()[1]) for line in file if line.startswith("Pss:")]
        except OSError:
            return None
    return sum(found) * 1024


def _descriptors(pid: int) -> int:
    try:
        count = len(os.listdir(f"{_PROC}/{pid}/fd"))
    except OSError:
        return 0
    return count - (pid == os.getpid())  # without the one that they are counted with


def member(pid: int) -> Optional[Member]:
    """Return the user and the start time of a process.

    None if the process has ended or may not be seen, or if psutil is missing.
    """
    psutil = _psutil()
    if psutil is None:
        return None
    try:
        process = psutil.Process(pid)
        return Member(_user(process.uids().real), process.create_time())
    except (psutil.Error, OSError):
        return None


@functools.lru_cache(maxsize=1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def newest_pid(root: str = "/") -> Optional[int]:
    """Return the pid of the process that was forked last, None if unknown (proc(5), loadavg)."""
    try:
        with open(os.path.join(root, "proc/loadavg"), encoding="ascii") as file:
            return int(file.read().split()[-1])
    except (OSError, ValueError, IndexError):
        return None
