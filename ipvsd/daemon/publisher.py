"""What the daemon tells others: entries of the journal, status files, metrics. Never in its way."""

import collections
import os
import time
from typing import Any, Deque, Dict, List, Optional

from ipvsd.enforce.memory import Memory
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.sender import Send
from ipvsd.kernel import ipvs
from ipvsd.model import NS_PER_S
from ipvsd.status import documents, metrics
from ipvsd.status.runtime_dir import NAMESPACES, RuntimeFolder, publish, withdraw
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.text import iso_time

# Told in the status file too, for `ipvsd status --watch`: what fits below the rest on a screen.
_RECENT_EVENTS = 8
# Kept while the journal takes none: it is full, or journald stands still.
_UNTOLD_MAX = 1000
# Between two publishings while there is something better to do: so many times what one took, for
# it takes the longer the more namespaces there are; and at most what the watchdog can wait.
_PAUSE_SHARE = 10
_PAUSE_MIN_NS = NS_PER_S
_PAUSE_MAX_NS = 10 * NS_PER_S
# What is remembered of each namespace is written so many at a time, for thousands of them must not
# keep the loop from what is urgent. Where it changes all the time, that takes 1/20 of a CPU at
# most; after a while without changes it is done at once.
_DESCRIBED_AT_A_TIME = 64
_DESCRIBING_SHARE = 20
_DESCRIBING_CREDIT_NS = 10 * NS_PER_S
_DESCRIBING_RETRY_NS = 10 * NS_PER_S

_OLDER = "`ipvsd status` shows older counters, the guard goes on"

Document = Dict[str, Any]


class _Description:
    """What is remembered of the namespaces at one moment, as far as it is put into words."""

    def __init__(self, memory: Memory) -> None:
        self.revision = memory.revision
        self.left = documents.known(memory)
        self.documents: List[Document] = []

    def go_on(self, now_ns: int) -> None:
        """Put some more into words."""
        some, self.left = self.left[:_DESCRIBED_AT_A_TIME], self.left[_DESCRIBED_AT_A_TIME:]
        self.documents += [documents.ns_state_document(ns_state, now_ns) for ns_state in some]


class Publisher:
    """Tells what is new, and of what cannot be told only once."""

    def __init__(self, folder: RuntimeFolder, send: Send, root: str) -> None:
        self._folder = folder
        self._send = send
        self._root = root
        self._published: Dict[str, Document] = {}
        self._errors: Dict[str, str] = {}  # by file, while it lasts
        self._textfile = ""
        self._recent: Deque[Dict[str, str]] = collections.deque(maxlen=_RECENT_EVENTS)
        self._untold: Deque[Event] = collections.deque()
        self._lost = 0
        self._pause_ns = _PAUSE_MIN_NS
        self._due_ns: Optional[int] = None  # while it waits
        self._description: Optional[_Description] = None
        self._described: Optional[int] = None  # the revision that the file has
        self._describe_ns = 0  # not before

    def is_due(self, at_once: bool, now_ns: int) -> bool:
        """Whether to publish now what is new: at once, or a while after there first was any."""
        if at_once:
            self._due_ns = None
            return True
        if self._due_ns is None:
            self._due_ns = now_ns + self._pause_ns
        return now_ns >= self._due_ns

    def took(self, duration_ns: int) -> None:
        """Note what a publishing took, all in all (nanoseconds)."""
        self._due_ns = None
        self._pause_ns = min(max(_PAUSE_SHARE * duration_ns, _PAUSE_MIN_NS), _PAUSE_MAX_NS)

    def describe(self, memory: Memory) -> List[Event]:
        """Bring the file about all namespaces a step nearer to what is remembered of them now."""
        began_ns = monotonic_ns()
        moment_ns = self.describing_ns(memory)
        if moment_ns is None or began_ns < moment_ns:
            return []
        if self._description is None:
            self._description = _Description(memory)
        description, new_events = self._description, []
        description.go_on(began_ns)
        if not description.left:
            self._description = None
            error = self._folder.publish(NAMESPACES, {"namespaces": description.documents})
            new_events = self._error(NAMESPACES, error, _OLDER)
            if error is None:
                self._described = description.revision
            else:
                self._describe_ns = began_ns + _DESCRIBING_RETRY_NS
        cost_ns = _DESCRIBING_SHARE * (monotonic_ns() - began_ns)
        self._describe_ns = max(self._describe_ns, began_ns - _DESCRIBING_CREDIT_NS) + cost_ns
        return new_events

    def describing_ns(self, memory: Memory) -> Optional[int]:
        """Return when to call describe(), None when all that is remembered is in the file."""
        if self._description is not None:
            return 0
        return None if self._described == memory.revision else self._describe_ns

    def remember_recent(self, new_events: List[Event]) -> List[Dict[str, str]]:
        """Take events that are about to be told; return the last ones as plain data."""
        now = iso_time(int(time.time() * 1e9))
        self._recent += [
            {"time": now, "event": event.kind.word, "message": event.message}
            for event in new_events
        ]
        return list(self._recent)

    def log(self, *new_events: Event) -> None:
        """Send events to the journal, behind those that it has not taken yet; never wait for it."""
        self._untold += new_events
        while len(self._untold) > _UNTOLD_MAX:
            self._untold.popleft()
            self._lost += 1
        while self._untold and self._is_taken(self._untold[0]):
            self._untold.popleft()
        if self._lost and not self._untold:
            message = f"journal: it has taken nothing for a while, {self._lost} entries are lost"
            self._lost = 0
            self.log(events.plain(Kind.ENTRIES_LOST, message))

    def publish(self, name: str, document: Document) -> List[Event]:
        """Replace a file in the run-time folder if its content is new; return what is news."""
        if document == self._published.get(name):
            return []
        error = self._folder.publish(name, document)
        if error is None:
            self._published[name] = document
        return self._error(name, error, _OLDER)

    def publish_metrics(self, textfile: str, status: Document, loaded: bool) -> List[Event]:
        """Replace the metrics file, if one is wanted; return what is news.

        Written even if nothing has changed: its time shows that the daemon lives.
        """
        if textfile != self._textfile:
            self._withdraw_metrics()
            self._textfile = textfile
        if not textfile:
            return []
        estimator = "none"
        if loaded:
            estimator = "kthread" if ipvs.has_kthreads(self._root) else "timer"
        host = ipvs.counters(self._root)
        running = metrics.Running(os.uname().release, estimator)
        text = metrics.render(status, running, host.live if host is not None else None)
        return self._error(textfile, publish(textfile, text), "the guard goes on without metrics")

    def close(self) -> None:
        """Take away what would look as if the daemon still ran."""
        self._folder.withdraw()
        self._withdraw_metrics()

    def _is_taken(self, event: Event) -> bool:
        try:
            return self._send(event)
        except OSError:
            return True  # neither the journal nor stderr is there: there is nowhere left to tell

    def _withdraw_metrics(self) -> None:
        if self._textfile:
            withdraw(self._textfile)

    def _error(self, name: str, error: Optional[str], without: str) -> List[Event]:
        if error is None:
            self._errors.pop(name, None)
            return []
        if error == self._errors.get(name):
            return []
        self._errors[name] = error
        return [events.plain(Kind.STATUS_FILE, f"{error}; {without}")]
