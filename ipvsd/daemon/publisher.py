"""Publishes the daemon's journal entries, status files and metrics, without blocking its loop.

Child processes write the files. The metrics have one of their own, since their folder may lie in
another file system, which may hang alone.
"""

import collections
import os
import time
from typing import Any, Deque, Dict, Iterable, List, Optional

from ipvsd.daemon.namespaces_file import NamespacesFile
from ipvsd.daemon.own_cost import OwnCost
from ipvsd.enforce.memory import Memory
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.sender import Send
from ipvsd.journal.unsent import Unsent
from ipvsd.kernel import ipvs
from ipvsd.model import NS_PER_S
from ipvsd.status import metrics
from ipvsd.status.metrics import Traffic
from ipvsd.status.runtime_dir import RuntimeFolder, publish, withdraw
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.system.mailbox import Mailbox, finish
from ipvsd.text import format_duration, iso_time

# Also in the status file, for `ipvsd status --watch`: as many as fit below the rest on a screen.
_RECENT_EVENTS = 8
# The pause between two publishings while namespaces wait, or in a storm of births: so many times
# the duration of one, which grows with the number of namespaces, and at most what the watchdog can
# wait.
_PAUSE_SHARE = 10
_PAUSE_MIN_NS = 2 * NS_PER_S
_PAUSE_MAX_NS = 10 * NS_PER_S
# The last files, and then the last lines on stderr, may take so long at the end.
_FILES_END_NS = 3 * NS_PER_S // 2
_LINES_END_NS = NS_PER_S // 2

_OLDER = "`ipvsd status` shows older counters; the guard continues"
_WITHOUT_METRICS = "the guard continues without metrics"

Document = Dict[str, Any]


class Pace:
    """When to publish while namespaces wait to be set."""

    def __init__(self) -> None:
        self._pause_ns = _PAUSE_MIN_NS
        self._due_ns: Optional[int] = None  # while it waits

    def is_due(self, at_once: bool, now_ns: int) -> bool:
        """Return whether to publish now: at once, or a pause after something was new."""
        if at_once:
            self._due_ns = None
            return True
        if self._due_ns is None:
            self._due_ns = now_ns + self._pause_ns
        return now_ns >= self._due_ns

    def took(self, duration_ns: int) -> None:
        """Note how long a publishing took (nanoseconds)."""
        self._due_ns = None
        self._pause_ns = min(max(_PAUSE_SHARE * duration_ns, _PAUSE_MIN_NS), _PAUSE_MAX_NS)


class Publisher:
    """Publishes what is new; a file that cannot be written is logged once."""

    def __init__(
        self, loop: Loop, folder: RuntimeFolder, send: Send, stderr: Mailbox, root: str
    ) -> None:
        """Start no process yet; `stderr` is what `send` uses for a stderr that can block."""
        self._loop = loop
        self._folder = folder
        self._root = root
        self._files = Mailbox("ipvsd-files")
        self._textfiles = Mailbox("ipvsd-textfile")
        self._boxes = (self._files, self._textfiles, stderr)
        for box in self._boxes:
            loop.follow(box.worker)
        self._namespaces = NamespacesFile(loop, folder)
        self.cost = OwnCost(self._files)
        self._published: Dict[str, Document] = {}  # by path
        self._errors: Dict[str, str] = {}  # by path, while it lasts
        self._late: Dict[str, int] = {}  # for how long what hangs has done so, by path
        self._textfile = ""
        self._recent: Deque[Dict[str, str]] = collections.deque(maxlen=_RECENT_EVENTS)
        self._unsent = Unsent(send)

    def describe(self, memory: Memory) -> None:
        """Have the namespaces' states published if they are new."""
        self._namespaces.begin(memory, monotonic_ns())

    def remember_recent(self, new_events: List[Event]) -> List[Dict[str, str]]:
        """Remember events that are about to be logged; return the last ones as plain data."""
        now = iso_time(int(time.time() * 1e9))
        self._recent += [
            {"time": now, "event": event.kind.word, "message": event.message}
            for event in new_events
        ]
        return list(self._recent)

    def log(self, *new_events: Event) -> None:
        """Send events to the journal, behind those that it has not taken yet, without waiting."""
        self._unsent.log(*new_events)

    def publish(self, name: str, document: Document) -> None:
        """Have a file in the run-time folder replaced if its content is new."""
        path = self._folder.path(name)
        if document != self._published.get(path):
            self._published[path] = document
            self._files.post(path, publish, *self._folder.rendered(name, document))

    def publish_metrics(
        self, textfile: str, status: Document, loaded: bool, traffic: Iterable[Traffic]
    ) -> None:
        """Have the metrics file replaced, if one is configured.

        It is written even if nothing has changed: its time shows that the daemon runs.
        """
        if textfile != self._textfile:
            self._withdraw_metrics()
            self._textfile = textfile
        if not textfile:
            return
        estimator = "none"
        if loaded:
            estimator = "kthread" if ipvs.has_kthreads(self._root) else "timer"
        host = ipvs.counters(self._root)
        running = metrics.Running(os.uname().release, estimator)
        live = host.live if host is not None else None
        text = metrics.render(status, running, live, traffic)
        self._textfiles.post(textfile, publish, textfile, text)

    @property
    def idle(self) -> bool:
        """Whether all files have been written, as far as they can be."""
        return not self._namespaces.busy and all(box.idle for box in self._boxes)

    @property
    def late(self) -> str:
        """What is not written, and for how long; empty if everything is."""
        return "; ".join(
            f"{path} not written for {format_duration(ns)}" for path, ns in self._late.items()
        )

    def deadlines_ns(self, memory: Optional[Memory]) -> List[int]:
        """Return when to call proceed() and, if a memory is given, describe()."""
        now_ns = monotonic_ns()
        described_ns = None if memory is None else self._namespaces.due_ns(memory)
        moments = [box.deadline_ns for box in self._boxes if box.deadline_ns > now_ns]
        return moments if described_ns is None else [*moments, described_ns]

    def proceed(self) -> List[Event]:
        """Take what the children have done, and log what waits; return the events of that."""
        now_ns, new_events = monotonic_ns(), []
        described = self._namespaces.take(now_ns)
        if described is not None:
            new_events += self._note(self._namespaces.path, described.error)
        for box in self._boxes:
            for path, done in box.take():
                if path == OwnCost.TASK:
                    self.cost.take(done, now_ns)
                else:
                    new_events += self._note(path, done.error or done.result)
        late = dict(found for found in (box.late(now_ns) for box in self._boxes) if found[0])
        new_events += [
            events.plain(
                Kind.STATUS_FILE,
                f"{path}: not written, no answer for {format_duration(late[path])}, as of a file "
                "system that is frozen; the guard continues, and writes the file afterwards",
            )
            for path in late
            if path not in self._late
        ]
        self._late = late
        self.log()
        return new_events

    def close(self) -> None:
        """Remove the files, since the daemon no longer runs; wait for that, but not for long."""
        self._namespaces.close()  # before its file is removed
        for path in self._folder.paths():
            self._files.post(path, withdraw, path)
        if self._textfile:
            self._textfiles.post(self._textfile, withdraw, self._textfile)
        *files, stderr = self._boxes
        finish(files, _FILES_END_NS, lambda: self.log(*self.proceed()))
        for path in (*self._files.left, *self._textfiles.left):
            took = format_duration(_FILES_END_NS)
            message = f"{path}: not written or removed, no answer for {took}"
            self.log(events.plain(Kind.STATUS_FILE, message))
        finish([stderr], _LINES_END_NS, lambda: self.log(*self.proceed()))
        for box in self._boxes:
            self._loop.unfollow(box.worker)
            box.close()

    def _withdraw_metrics(self) -> None:
        """Have the metrics file of the configuration before removed, unless that would hang."""
        path = self._textfile
        if path and self._textfiles.drop(path):
            message = f"{path}: not removed, since its file system does not answer; remove it later"
            self.log(events.plain(Kind.STATUS_FILE, message))
        elif path:
            self._textfiles.post(path, withdraw, path)

    def _note(self, path: str, error: Optional[str]) -> List[Event]:
        """Note whether a file was written; return the events of that."""
        if not error:
            self._errors.pop(path, None)
            return []
        self._published.pop(path, None)  # it is tried again with the next publishing
        if error == self._errors.get(path):
            return []
        self._errors[path] = error
        without = _WITHOUT_METRICS if path == self._textfile else _OLDER
        return [events.plain(Kind.STATUS_FILE, f"{error}; {without}")]
