"""Holds the uevent socket, the one event source that is always needed."""

from typing import Callable, Optional, Set

from ipvsd.kernel.uevents import Drained, Monitor
from ipvsd.system.event_loop import Loop


class Uevents:
    """The uevent socket, which is always needed: a broken one is replaced."""

    def __init__(self, loop: Loop, new_monitor: Callable[[], Monitor]) -> None:
        """Open the socket. Raises GuardError."""
        self._loop = loop
        self._new_monitor = new_monitor
        self._monitor = new_monitor()
        loop.watch(self._monitor.fileno())

    def woke(self, descriptors: Set[int]) -> bool:
        """Return whether the socket is among the descriptors that have woken the loop."""
        return self._monitor.fileno() in descriptors

    def drain(self) -> Drained:
        """Read the uevents that have come."""
        return self._monitor.drain()

    def replace_if_broken(self) -> Optional[str]:
        """Replace the socket if it receives nothing any more; return why, None if it works."""
        defect = self._monitor.defect()
        if defect is None:
            return None
        replacement = self._new_monitor()
        self._loop.forget(self._monitor.fileno())
        self._loop.watch(replacement.fileno())
        self._monitor = replacement
        return defect
