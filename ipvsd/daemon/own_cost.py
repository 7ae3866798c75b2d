"""Measures what the service itself costs: memory, CPU time, descriptors, threads, processes.

A child process reads this, since reading the memory of a process takes a millisecond.
"""

import collections
from typing import Any, Deque, Dict, Optional, Set, Tuple

from ipvsd.model import NS_PER_S
from ipvsd.system import processes
from ipvsd.system.mailbox import Mailbox
from ipvsd.system.processes import Usage
from ipvsd.system.worker import Done

# Status and metrics are read no more often than this.
_PERIOD_NS = 10 * NS_PER_S
_MINUTE_NS = 60 * NS_PER_S


class OwnCost:
    """Has the cost read once in a while, and remembers the CPU time of the last minute."""

    TASK = "/proc/self/smaps_rollup"  # its name in the mailbox

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._document: Optional[Dict[str, Any]] = None
        self._due_ns = 0
        # Moments and the CPU time used until then (nanoseconds).
        self._times: Deque[Tuple[int, int]] = collections.deque()

    def read(self, now_ns: int, main: int, pids: Set[int]) -> Optional[Dict[str, Any]]:
        """Return the cost as plain data for status.json, None while it is unknown.

        If it is old, have it read anew: of the process `main` and its children in `pids`.
        """
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + _PERIOD_NS
            self._mailbox.post(self.TASK, processes.usage, (main, *sorted(pids - {main})))
        return self._document

    def take(self, done: Done, now_ns: int) -> None:
        """Take what the child has read."""
        self._document = None if done.result is None else self._described(done.result, now_ns)

    def _described(self, usage: Usage, now_ns: int) -> Dict[str, Any]:
        self._times.append((now_ns, usage.cpu_ns))
        # The oldest moment kept is the newest one that is a minute old.
        while len(self._times) > 1 and self._times[1][0] <= now_ns - _MINUTE_NS:
            self._times.popleft()
        began_ns, began_cpu_ns = self._times[0]
        elapsed_ns = now_ns - began_ns
        # What a child has used counts again when it has been waited for, a moment after its end.
        used_ns = max(0, usage.cpu_ns - began_cpu_ns)
        minute = used_ns / elapsed_ns if elapsed_ns >= _PERIOD_NS else None
        return {
            "resident_bytes": usage.resident_bytes,
            "pss_bytes": usage.pss_bytes,
            "cpu_share": round(usage.cpu_ns / max(1, usage.age_ns), 6),
            "cpu_share_last_minute": None if minute is None else round(minute, 6),
            "descriptors": usage.descriptors,
            "threads": usage.threads,
            "processes": usage.processes,
        }
