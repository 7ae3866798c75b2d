"""Reads facts about processes through psutil, which is optional: without it they are unknown.

psutil is imported at the first use, by the daemon on a thread of its own: the import takes 30 ms,
from a cold disk seconds, and no event may wait for it.
"""

import functools
import pwd
import threading
import time
from typing import Any, NamedTuple, Optional

from ipvsd.system.worker import give_up_priority


class Usage(NamedTuple):
    """The resources that a process has used since its start."""

    resident_bytes: int
    cpu_ns: int
    age_ns: int
    descriptors: int
    threads: int


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


class Loader:
    """Imports psutil on a thread of its own."""

    def __init__(self) -> None:
        """Start the thread. Raises RuntimeError if there are too many threads."""
        self.found = False  # psutil is installed; known when `done`
        self._thread = threading.Thread(target=self._load, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the import has ended."""
        return not self._thread.is_alive()

    def close(self, limit_s: float) -> None:
        """Wait for the end of the import, but not longer than a limit (seconds)."""
        self._thread.join(limit_s)

    def _load(self) -> None:
        give_up_priority()
        self.found = available()


def own_usage() -> Optional[Usage]:
    """Return the usage of the calling process, None if psutil is missing."""
    psutil = _psutil()
    if psutil is None:
        return None
    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        return Usage(
            process.memory_info().rss,
            int((times.user + times.system) * 1e9),
            int((time.time() - process.create_time()) * 1e9),
            process.num_fds() - 1,  # the descriptor that it is counted with
            process.num_threads(),
        )


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
