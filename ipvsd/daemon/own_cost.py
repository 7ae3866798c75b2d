"""Measures what the daemon itself costs: memory, CPU time, descriptors, threads."""

import collections
from typing import Any, Deque, Dict, Optional, Tuple

from ipvsd.model import NS_PER_S
from ipvsd.system import processes

# Status and metrics are read no more often than this.
_PERIOD_NS = 10 * NS_PER_S
_MINUTE_NS = 60 * NS_PER_S
# What an import under way at the end may still take.
_LAST_IMPORT_S = 1.0


class OwnCost:
    """Reads the cost once in a while, and remembers the CPU time of the last minute."""

    def __init__(self) -> None:
        self._loader: Optional[processes.Loader] = None  # of psutil, from the first read() on
        self._document: Optional[Dict[str, Any]] = None
        self._due_ns = 0
        # Moments and the CPU time used until then (nanoseconds).
        self._times: Deque[Tuple[int, int]] = collections.deque()

    def read(self, now_ns: int) -> Optional[Dict[str, Any]]:
        """Return the cost as plain data for status.json, None while it is unknown.

        The first call begins to import psutil: it must not come before READY=1 has been sent.
        """
        if self._loader is None:
            self._begin_import()
        loader = self._loader
        if loader is None or not loader.done or not loader.found or now_ns < self._due_ns:
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

    def _begin_import(self) -> None:
        try:
            self._loader = processes.Loader()
        except RuntimeError:
            pass  # there are too many threads: the next read() tries again

    def close(self) -> None:
        """Wait for an import that is under way, but not for long."""
        if self._loader is not None:
            self._loader.close(_LAST_IMPORT_S)
