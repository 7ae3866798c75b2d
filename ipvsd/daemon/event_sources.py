"""What tells the daemon of changes besides the uevents: each may be missing, none is needed."""

import os
from typing import Any, Callable, Dict, List, Optional, Set

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.kernel.mounts import MountTable
from ipvsd.kernel.netns_births import BirthEvents, BirthProbe
from ipvsd.kernel.sysctl_watch import WriteWatch
from ipvsd.kernel.uevents import Monitor
from ipvsd.system.event_loop import Loop

ON = "on"
OFF = "off"


class Source:
    """One source: open, or closed for a reason that is told once."""

    def __init__(
        self,
        name: str,
        without: str,
        loop: Loop,
        open_it: Callable[[], Any],
        urgent: bool = False,
    ) -> None:
        """Take a name and what the guard does `without` it, for people; `urgent` as in the loop."""
        self.state = OFF
        self.opened: Any = None
        self._name = name
        self._without = without
        self._loop = loop
        self._open_it = open_it
        self._urgent = urgent
        self._descriptor = -1

    def open(self) -> List[Event]:
        """Open it if it is closed; return what is news."""
        if self.opened is not None:
            return []
        try:
            self.opened = self._open_it()
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return self._closed_for(f"{where}{error.strerror or error}")
        self._descriptor = self.opened.fileno()
        self._loop.watch(self._descriptor, self._urgent)
        before, self.state = self.state, ON
        if before == OFF:
            return []
        return [events.plain(Kind.SOURCE_BACK, f"{self._name}: to be had again, and in use")]

    def close(self) -> None:
        """Close it because it is not wanted."""
        if self.opened is not None:
            self._loop.forget(self._descriptor)
            self.opened.close()
        self.opened, self.state, self._descriptor = None, OFF, -1

    def lose(self, reason: str) -> List[Event]:
        """Close it because it is broken; return what is news."""
        self.close()
        return self._closed_for(reason)

    def woke(self, descriptors: Set[int]) -> bool:
        """Whether it is one of these that have woken the loop."""
        return self._descriptor in descriptors

    def _closed_for(self, reason: str) -> List[Event]:
        before, self.state = self.state, reason
        if before == reason:
            return []
        message = f"{self._name}: not to be had ({reason}); {self._without}"
        return [events.plain(Kind.SOURCE_LOST, message)]


class NamespaceSources:
    """What tells of new namespaces: births by a kprobe, new mounts, and new devices in need."""

    def __init__(self, loop: Loop, root: str) -> None:
        """Open nothing yet; arrange() does."""
        self.writer = ""  # who has last written a sysctl, where that is asked for and known
        poll = "new namespaces are found by looking every second"
        table = os.path.join(root, "proc/1/mountinfo")
        self._births = Source("births of namespaces", poll, loop, lambda: BirthProbe(root))
        self._mounts = Source("new mounts", poll, loop, lambda: MountTable(table), urgent=True)
        self._devices = Source("new devices", poll, loop, lambda: Monitor("net", None))

    @property
    def complete(self) -> bool:
        """Whether every birth is told."""
        return self._births.opened is not None

    def arrange(self, wanted: bool) -> List[Event]:
        """Open what is wanted and closed, close what is open and broken or not wanted."""
        if not wanted:
            self.close()
            return []
        defect = self._births.opened.defect() if self.complete else None
        new_events = self._births.lose(defect) if defect is not None else []
        new_events += self._births.open() + self._mounts.open()
        if not self.complete:
            return new_events + self._devices.open()
        self._devices.close()
        return new_events

    def distrust(self, reason: str) -> List[Event]:
        """Births are not told although they should be: do without, until the next arrange()."""
        return self._births.lose(reason) if self.complete else []

    def name_writers(self, wanted: bool) -> None:
        """Learn who writes sysctls, or no longer; only where births are told too."""
        if self.complete:
            self._births.opened.name_writers(wanted)

    def birth_woke(self, descriptors: Set[int]) -> bool:
        """Whether it is a birth that has woken the loop; hear() has yet to take it."""
        return self._births.woke(descriptors)

    def take_events(self, descriptors: Set[int], new_events: List[Event]) -> Optional[BirthEvents]:
        """Take what has been told, None if nothing was; what is worth telling goes to `news`.

        A hint that is no birth counts none.
        """
        told = BirthEvents() if self._mounts.woke(descriptors) else None
        if self._devices.woke(descriptors):
            self._devices.opened.drain()
            told = BirthEvents()
        if self._births.woke(descriptors):
            try:
                heard = self._births.opened.drain()
                self.writer = heard.writer or self.writer
                told = heard if heard.births else told
            except OSError as error:
                new_events += self._births.lose(str(error.strerror))
        return told

    def states(self) -> Dict[str, str]:
        """Return each source's state in a word, or why it is not to be had."""
        return {
            "births": self._births.state,
            "mounts": self._mounts.state,
            "devices": self._devices.state,
        }

    def close(self) -> None:
        """Close all of them."""
        for source in (self._births, self._mounts, self._devices):
            source.close()


class Writes:
    """Writes by others to the host's run_estimation, which is another file after each load."""

    def __init__(self, loop: Loop, root: str) -> None:
        """Open nothing yet; arrange() does."""
        path = os.path.join("proc/sys", RUN_ESTIMATION.replace(".", "/"))
        # systemd gives a service with ProtectKernelTunables= a procfs of its own, through which
        # nobody else writes: pid 1's is the one that the host uses.
        self._paths = (os.path.join(root, "proc/1/root", path), os.path.join(root, path))
        without = "changes by others are found at the periodic look"
        self._source = Source("writes by others", without, loop, WriteWatch)
        self._load: Optional[int] = None  # the one whose file is watched

    @property
    def state(self) -> str:
        """`on`, or why not."""
        return self._source.state

    def arrange(self, load: Optional[int]) -> List[Event]:
        """Watch the file of this load of ip_vs, counted from the start; None without ip_vs."""
        new_events = self._source.open()
        if self._source.opened is None or load == self._load:
            return new_events
        self._load = None
        self._source.opened.disarm()
        if load is None:
            return new_events
        for path in self._paths:
            try:
                self._source.opened.arm(path)
                self._load = load
                return new_events
            except (FileNotFoundError, PermissionError):
                continue  # no pid 1 to be seen; or this kernel does not have it
            except OSError as error:
                return new_events + self._source.lose(str(error.strerror))
        return new_events

    def take_events(self, descriptors: Set[int]) -> bool:
        """Take what has been told; whether anything was."""
        return self._source.woke(descriptors) and bool(self._source.opened.drain())

    def close(self) -> None:
        """Close it."""
        self._source.close()
        self._load = None
