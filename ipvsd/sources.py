"""What tells the daemon of changes besides the uevents: each may be missing, none is needed."""

import os
from typing import Any, Callable, Dict, List, Optional, Set

from ipvsd.core import events
from ipvsd.core.events import Event, Kind
from ipvsd.core.values import RUN_ESTIMATION
from ipvsd.kernel.births import Births, Told
from ipvsd.kernel.mounts import MountTable
from ipvsd.kernel.uevents import Monitor
from ipvsd.kernel.writes import WriteWatch
from ipvsd.loop import Loop

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

    def among(self, descriptors: Set[int]) -> bool:
        """Whether it is one of these that have woken the loop."""
        return self._descriptor in descriptors

    def _closed_for(self, reason: str) -> List[Event]:
        before, self.state = self.state, reason
        if before == reason:
            return []
        message = f"{self._name}: not to be had ({reason}); {self._without}"
        return [events.plain(Kind.SOURCE_LOST, message)]


class Hints:
    """What tells of new namespaces: births by a kprobe, new mounts, and new devices in need."""

    def __init__(self, loop: Loop, root: str) -> None:
        """Open nothing yet; arrange() does."""
        self.writer = ""  # who has last written a sysctl, where that is asked for and known
        poll = "new namespaces are found by looking every second"
        table = os.path.join(root, "proc/1/mountinfo")
        self._births = Source("births of namespaces", poll, loop, lambda: Births(root))
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
        news = self._births.lose(defect) if defect is not None else []
        news += self._births.open() + self._mounts.open()
        if not self.complete:
            return news + self._devices.open()
        self._devices.close()
        return news

    def distrust(self, reason: str) -> List[Event]:
        """Births are not told although they should be: do without, until the next arrange()."""
        return self._births.lose(reason) if self.complete else []

    def name_writers(self, wanted: bool) -> None:
        """Learn who writes sysctls, or no longer; only where births are told too."""
        if self.complete:
            self._births.opened.name_writers(wanted)

    def birth_among(self, descriptors: Set[int]) -> bool:
        """Whether it is a birth that has woken the loop; hear() has yet to take it."""
        return self._births.among(descriptors)

    def hear(self, descriptors: Set[int], news: List[Event]) -> Optional[Told]:
        """Take what has been told, None if nothing was; what is worth telling goes to `news`.

        A hint that is no birth counts none.
        """
        told = Told() if self._mounts.among(descriptors) else None
        if self._devices.among(descriptors):
            self._devices.opened.drain()
            told = Told()
        if self._births.among(descriptors):
            try:
                heard = self._births.opened.drain()
                self.writer = heard.writer or self.writer
                told = heard if heard.births else told
            except OSError as error:
                news += self._births.lose(str(error.strerror))
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
        news = self._source.open()
        if self._source.opened is None or load == self._load:
            return news
        self._load = None
        self._source.opened.disarm()
        if load is None:
            return news
        for path in self._paths:
            try:
                self._source.opened.arm(path)
                self._load = load
                return news
            except (FileNotFoundError, PermissionError):
                continue  # no pid 1 to be seen; or this kernel does not have it
            except OSError as error:
                return news + self._source.lose(str(error.strerror))
        return news

    def hear(self, descriptors: Set[int]) -> bool:
        """Take what has been told; whether anything was."""
        return self._source.among(descriptors) and bool(self._source.opened.drain())

    def close(self) -> None:
        """Close it."""
        self._source.close()
        self._load = None
