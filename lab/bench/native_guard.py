"""The guard for the native bench: all that the bench calls in ipvsd is called here.

It runs as a process of its own, so that the CPU time of all its threads and worker processes can
be counted. It is driven as in the tests with real namespaces: its scanner, its enforcer and its
records are those of the daemon. There is no publishing (journal, status files, metrics).

Reads one word a line, and answers each with one line of JSON:

start COUNT   find and set all namespaces, as at the service's start
load COUNT    handle a load of ip_vs, after which all values are the kernel's again
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from ipvsd.daemon.scan_schedule import FULL_SHARE
from ipvsd.model import Reason
from ipvsd.system.event_loop import monotonic_ns
from tests.namespaces.drive import Drive
from tests.namespaces.stand_in import FILE, KEY, STAND_IN

# What the kernel has in a new namespace, and what the guard sets.
KERNELS, WANTED = "64", STAND_IN.wanted
SYSCTL, SYSCTL_FILE = KEY, FILE
# The most that full scans cost while nothing happens.
FULL_SCANS_PERCENT = 100 / FULL_SHARE

LIMIT_S = 600  # a machine may be slow, but a guard that hangs must end


class Guard:
    """The guard's scanner, enforcer and records, without its loop."""

    def __init__(self) -> None:
        self.drive = Drive(SimpleNamespace(root="/"))

    def start(self, count: int) -> dict[str, float]:
        """Find and set all namespaces."""
        return self._measured(Reason.START, None, count)

    def load(self, count: int) -> dict[str, float]:
        """Handle a load that has just happened."""
        now_ns = monotonic_ns()
        self.drive.memory = self.drive.memory._replace(loaded_ns=now_ns)
        return self._measured(Reason.LOAD, now_ns, count)

    def _measured(self, reason: Reason, event_ns: int | None, count: int) -> dict[str, float]:
        """Return the cost until all are set and recorded, and until hidden ones are searched."""
        before, cpu_usec, began_ns = self._written(reason), spent_usec(), monotonic_ns()
        self.drive.scanner.rescan_all(reason, event_ns)
        found = {}
        for name, condition in (
            ("", lambda: self._written(reason) - before >= count or self._at_rest()),
            ("scans_", self._at_rest),
        ):
            self.drive.until(condition, f"{reason.value} of {count} namespaces", LIMIT_S)
            found[f"{name}wall_usec"] = (monotonic_ns() - began_ns) / 1000
            found[f"{name}cpu_usec"] = spent_usec() - cpu_usec
        return found | {"recorded": self._written(reason) - before}

    def _written(self, reason: Reason) -> int:
        """Return how many writes for a reason have been recorded."""
        return self.drive.memory.tally.writes.get(reason.value, 0)

    def _at_rest(self) -> bool:
        return self.drive.scanner.idle and self.drive.scanner.scan_complete


def spent_usec() -> float:
    """Return the CPU time of this process, of its descendants, and of those that have ended.

    The clock of a process counts all its threads, also those that have ended (the CPU-time clock
    of clock_getcpuclockid(3), to the nanosecond).
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = time.process_time() + ended.ru_utime + ended.ru_stime
    for pid in descendants(os.getpid()):
        try:
            cpu_s += time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue  # it has ended meanwhile, and is counted by its parent
    return cpu_s * 1e6


def descendants(pid: int) -> list[int]:
    """Return the children of all threads of a process, and theirs; some may end meanwhile."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []  # the process, or one of its threads, has ended meanwhile
    return [one for child in map(int, children) for one in (child, *descendants(child))]


def main() -> None:
    """Answer the words that come in."""
    guard = Guard()
    for line in sys.stdin:
        word, count = line.split()
        found = {"start": guard.start, "load": guard.load}[word](int(count))
        print(json.dumps(found), flush=True)
    guard.drive.scanner.worker.close()


if __name__ == "__main__":
    main()
