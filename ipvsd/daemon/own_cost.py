"""Measures what the daemon itself costs: memory, CPU time, descriptors, threads."""

import collections
from typing import Any, Deque, Dict, Optional, Tuple

from ipvsd.model import NS_PER_S
from ipvsd.system import processes

# Status and metrics are read no more often than this.
_PERIOD_NS = 10 * NS_PER_S
_MINUTE_NS = 60 * NS_PER_S


class OwnCost:
    """Reads the cost once in a while, and remembers the CPU time of the last minute."""

    def __init__(self) -> None:
        self._document: Optional[Dict[str, Any]] = None
        self._due_ns = 0
        # Moments and the CPU time used until then (nanoseconds).
        self._times: Deque[Tuple[int, int]] = collections.deque()

    def read(self, now_ns: int) -> Optional[Dict[str, Any]]:
        """Return the cost as plain data for status.json, None if psutil is missing.

        The first call imports psutil, so it must not come before READY=1 has been sent.
        """
        if now_ns < self._due_ns:
            return self._document
        self._due_ns = now_ns + _PERIOD_NS
        usage = processes.own_usage()
        if usage is None:
            return None
        self._times.append((now_ns, usage.cpu_ns))
        # The oldest moment kept is the newest one that is a minute old.
        while len(self._times) > 1 and self._times[1][0] <= now_ns - _MINUTE_NS:
            self._times.popleft()
        began_ns, began_cpu_ns = self._times[0]
        elapsed_ns = now_ns - began_ns
        minute = (usage.cpu_ns - began_cpu_ns) / elapsed_ns if elapsed_ns >= _PERIOD_NS else None
        self._document = {
            "resident_bytes": usage.resident_bytes,
            "cpu_share": round(usage.cpu_ns / max(1, usage.age_ns), 6),
            "cpu_share_last_minute": None if minute is None else round(minute, 6),
            "descriptors": usage.descriptors,
            "threads": usage.threads,
        }
        return self._document
