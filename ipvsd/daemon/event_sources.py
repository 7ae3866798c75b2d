"""The event sources of the daemon; the periodic check finds what they miss."""

import contextlib
import os
from typing import Any, Callable, Dict, List, Optional, Set

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.kernel import estimation_runs, tracefs
from ipvsd.kernel.mounts import MountTable
from ipvsd.kernel.netns_births import BirthEvents, BirthProbe
from ipvsd.kernel.sysctl_watch import WriteWatch
from ipvsd.kernel.uevents import Monitor
from ipvsd.model import NS_PER_S, GuardError
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.text import error_text

ON = "on"
OFF = "off"

# A probe that somebody has switched off reports no birth. The first estimation run comes 2 s after
# a birth, so that few leak in this time.
CHECK_NS = 5 * NS_PER_S


class Source:
    """One optional source: open, or closed for a reason that is logged once."""

    def __init__(
        self,
        name: str,
        without: str,
        loop: Loop,
        open_it: Callable[[], Any],
        urgent: bool = False,
    ) -> None:
        """Take a name and what the guard does `without` it; `urgent` as in Loop.watch()."""
        self.state = OFF
        self.opened: Any = None
        self._doubt = ""  # why it is not believed, though it is open
        self._name = name
        self._without = without
        self._loop = loop
        self._open_it = open_it
        self._urgent = urgent
        self._descriptor = -1
        self.muted = False  # it is open and does not wake the loop
        self.left: Any = None  # what it has left behind when it was lost

    @property
    def works(self) -> bool:
        """Whether it is open, and nothing shows that it does not report what it should."""
        return self.opened is not None and not self._doubt

    def open(self) -> List[Event]:
        """Open it if it is closed; return the events of that."""
        if self.opened is not None:
            return []
        try:
            self.opened = self._open_it()
        except GuardError as error:
            return self._closed_for(str(error))
        except OSError as error:
            return self._closed_for(error_text(error))
        self.left = None
        self._descriptor = self.opened.fileno()
        self._loop.watch(self._descriptor, self._urgent)
        return self._closed_for(self._doubt) if self._doubt else self._in_use()

    def doubt(self, reason: str) -> List[Event]:
        """Leave it open, and believe nothing of it until believe(); return the events of that."""
        self._doubt = reason
        return self._closed_for(reason)

    def believe(self) -> List[Event]:
        """Use it again, since it has proved itself; return the events of that."""
        if not self._doubt:
            return []
        self._doubt = ""
        return self._in_use() if self.opened is not None else []

    def mute(self, muted: bool) -> None:
        """Let it wake the loop no more, or again; what it reports meanwhile is kept."""
        if self.opened is None or muted == self.muted:
            return
        self.muted = muted
        if muted:
            self._loop.forget(self._descriptor)
        else:
            self._loop.watch(self._descriptor, self._urgent)

    def close(self) -> Any:
        """Let it go, as the configuration has no use for it; return what it leaves behind."""
        opened, self.opened, self.state = self.opened, None, OFF
        if opened is None:
            return None
        if not self.muted:
            self._loop.forget(self._descriptor)
        self._descriptor, self.muted = -1, False
        return opened.close()

    def lose(self, reason: str) -> List[Event]:
        """Close it because it is broken; return the events of that."""
        self.left = self.close()
        return self._closed_for(reason)

    def woke(self, descriptors: Set[int]) -> bool:
        """Return whether it is among the descriptors that have woken the loop."""
        return self._descriptor in descriptors

    def _in_use(self) -> List[Event]:
        before, self.state = self.state, ON
        if before in (OFF, ON):
            return []
        return [events.plain(Kind.SOURCE_BACK, f"{self._name}: available again, and in use")]

    def _closed_for(self, reason: str) -> List[Event]:
        before, self.state = self.state, reason
        if before == reason:
            return []
        message = f"{self._name}: unavailable ({reason}); {self._without}"
        return [events.plain(Kind.SOURCE_LOST, message)]


class NamespaceSources:
    """Reports of new namespaces: births by a kprobe, mounts; without the probe, devices."""

    def __init__(self, loop: Loop, root: str, host: int = 0) -> None:
        """Open nothing yet; arrange() does. `host` as in BirthProbe."""
        self.writer = ""  # who has last written a sysctl, empty if unknown
        self.loading = False  # ip_vs is being loaded
        self.own_birth = False  # one was reported since this was last set to False
        self.due_ns: Optional[int] = (
            None  # when to call arrange() again, None while no probe is set
        )
        self._missed = False  # births may have been, since the probe did not work
        self._loop = loop
        poll = "new namespaces are looked for at intervals"
        table = os.path.join(root, "proc/1/mountinfo")
        self._births = Source("births of namespaces", poll, loop, lambda: _set_probe(root, host))
        self._mounts = Source("new mounts", poll, loop, lambda: MountTable(table), urgent=True)
        self._devices = Source("new devices", poll, loop, lambda: Monitor("net", None))

    @property
    def births_reported(self) -> bool:
        """Whether the kernel reports every birth."""
        return self._births.works

    def arrange(self, wanted: bool) -> List[Event]:
        """Open the sources that are needed; close those that are broken or not `wanted`."""
        if not wanted:
            self.close()
            return []
        defect = self._births.opened.defect() if self._births.opened is not None else None
        new_events: List[Event] = []
        if defect is not None:
            new_events += self._births.lose(defect)
            self._missed = True
        new_events += self._births.open() + self._mounts.open()
        self.due_ns = None if self._births.opened is None else monotonic_ns() + CHECK_NS
        if not self.births_reported:
            return new_events + self._devices.open()
        self._devices.close()
        return new_events

    def distrust(self, reason: str) -> List[Event]:
        """Do not believe the probe until trust() is called, if it is open; return the events."""
        return self._births.doubt(reason) if self._births.opened is not None else []

    def trust(self) -> List[Event]:
        """Believe the probe: it has reported the birth of the canary; return the events."""
        return self._births.believe()

    @property
    def births_doubted(self) -> bool:
        """Whether the probe is set and not believed."""
        return self._births.opened is not None and not self._births.works

    def name_writers(self, wanted: bool) -> None:
        """Have writers of sysctls reported, or no longer; needs the same tracing as births."""
        if self._births.opened is not None:
            self._births.opened.name_writers(wanted)

    def mute_births(self, muted: bool) -> None:
        """Let births wake the loop no more, or again; they are reported then."""
        self._births.mute(muted)

    @property
    def births_muted(self) -> bool:
        """Whether births wake nobody now."""
        return self._births.muted

    def birth_woke(self, descriptors: Set[int]) -> bool:
        """Return whether a birth has woken the loop; take_events() has yet to read it."""
        return self._births.woke(descriptors)

    def take_events(self, descriptors: Set[int], new_events: List[Event]) -> Optional[BirthEvents]:
        """Return the births that were reported, None if no source has woken the loop.

        A new mount or device may mean a new namespace, and counts no birth. Events to log are
        added to `new_events`.
        """
        found = BirthEvents() if self._mounts.woke(descriptors) else None
        if self._devices.woke(descriptors):
            self._devices.opened.drain()
            found = BirthEvents()
        if self._births.woke(descriptors):
            found = self.take_births(new_events) or found
        if self._missed:
            # One more than was reported, so that a search follows if no scan finds one.
            self._missed, found = False, (found or BirthEvents()).with_unknown()
        return found

    def take_births(self, new_events: List[Event]) -> Optional[BirthEvents]:
        """Return the births that the probe has reported, None if it has reported none."""
        if self._births.opened is None:
            return None
        try:
            births: BirthEvents = self._births.opened.drain(self._loop.own_pids, self.loading)
        except OSError as error:
            new_events += self._births.lose(str(error.strerror))
            return None
        self.writer = births.writer or self.writer
        self.own_birth = self.own_birth or births.own
        return births if births.births or births.born or births.loaded_into else None

    def states(self) -> Dict[str, str]:
        """Return each source's state in a word, or why it is unavailable."""
        return {
            "births": self._births.state,
            "mounts": self._mounts.state,
            "devices": self._devices.state,
        }

    def close(self) -> str:
        """Close all of them; return a sentence if probes have to stay behind, else empty."""
        self.due_ns = None
        self._mounts.close()
        self._devices.close()
        left = self._births.close() or self._births.left
        return tracefs.left_behind(left) if left else ""


def _set_probe(root: str, host: int) -> BirthProbe:
    """Set the probe of births, and remove what killed measurements have left. Raises OSError."""
    probe = BirthProbe(root, host)
    with contextlib.suppress(OSError):
        estimation_runs.remove_leftovers(root)
    return probe


class Writes:
    """Reports writes by others to the host's run_estimation; each load makes a new file of it."""

    def __init__(self, loop: Loop, root: str) -> None:
        """Open nothing yet; arrange() does."""
        path = os.path.join("proc/sys", RUN_ESTIMATION.replace(".", "/"))
        # systemd gives a service with ProtectKernelTunables= a procfs of its own, through which
        # nobody else writes: pid 1's is the one that the host uses.
        self._paths = (os.path.join(root, "proc/1/root", path), os.path.join(root, path))
        without = "the periodic check finds changes by others"
        self._source = Source("writes by others", without, loop, WriteWatch)
        self._load: Optional[int] = None  # the load whose file is watched

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
                continue  # pid 1 may not be seen, or this kernel lacks the key
            except OSError as error:
                return new_events + self._source.lose(str(error.strerror))
        return new_events

    def take_events(self, descriptors: Set[int]) -> bool:
        """Read the reports; return whether there was any."""
        return self._source.woke(descriptors) and bool(self._source.opened.drain())

    def close(self) -> None:
        """Close it."""
        self._source.close()
        self._load = None
