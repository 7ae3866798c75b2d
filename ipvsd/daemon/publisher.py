"""Writes the daemon's journal entries, status files and metrics, without blocking its loop."""

import collections
import os
import time
from typing import Any, Deque, Dict, Iterable, List, Optional

from ipvsd.enforce.memory import Memory
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.sender import Send
from ipvsd.kernel import ipvs
from ipvsd.model import NS_PER_S
from ipvsd.status import documents, metrics
from ipvsd.status.metrics import Traffic
from ipvsd.status.runtime_dir import NAMESPACES, RuntimeFolder, publish, withdraw
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.text import iso_time

# Also in the status file, for `ipvsd status --watch`: as many as fit below the rest on a screen.
_RECENT_EVENTS = 8
# Kept while journald takes none, since it is stopped or its socket is full.
_UNSENT_MAX = 1000
# The pause between two publishings while namespaces wait to be set: so many times the duration of
# one, which grows with the number of namespaces, and at most what the watchdog can wait.
_PAUSE_SHARE = 10
_PAUSE_MIN_NS = NS_PER_S
_PAUSE_MAX_NS = 10 * NS_PER_S
# The states of so many namespaces are rendered at a time: thousands would keep the loop from urgent
# work. Where states change all the time, this takes 1/20 of a CPU at most. After a while without
# changes it is done at once.
_RENDERED_AT_A_TIME = 64
_RENDERING_SHARE = 20
_RENDERING_CREDIT_NS = 10 * NS_PER_S
_RENDERING_RETRY_NS = 10 * NS_PER_S

_OLDER = "`ipvsd status` shows older counters; the guard continues"

Document = Dict[str, Any]


class _Description:
    """The states of all namespaces at one moment, as far as they are rendered."""

    def __init__(self, memory: Memory) -> None:
        self.revision = memory.revision
        self.left = documents.known(memory)
        self.documents: List[Document] = []

    def go_on(self, now_ns: int) -> None:
        """Render some more of them."""
        some, self.left = self.left[:_RENDERED_AT_A_TIME], self.left[_RENDERED_AT_A_TIME:]
        self.documents += [documents.ns_state_document(ns_state, now_ns) for ns_state in some]


class Publisher:
    """Publishes what is new; a file that cannot be written is logged once."""

    def __init__(self, folder: RuntimeFolder, send: Send, root: str) -> None:
        self._folder = folder
        self._send = send
        self._root = root
        self._published: Dict[str, Document] = {}
        self._errors: Dict[str, str] = {}  # by file, while it lasts
        self._textfile = ""
        self._recent: Deque[Dict[str, str]] = collections.deque(maxlen=_RECENT_EVENTS)
        self._unsent: Deque[Event] = collections.deque()
        self._lost = 0
        self._pause_ns = _PAUSE_MIN_NS
        self._due_ns: Optional[int] = None  # while it waits
        self._description: Optional[_Description] = None
        self._described: Optional[int] = None  # the revision that the file has
        self._describe_ns = 0  # not before

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

    def describe(self, memory: Memory) -> List[Event]:
        """Render some more of the namespaces' states, and write their file when all are."""
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
                self._describe_ns = began_ns + _RENDERING_RETRY_NS
        cost_ns = _RENDERING_SHARE * (monotonic_ns() - began_ns)
        self._describe_ns = max(self._describe_ns, began_ns - _RENDERING_CREDIT_NS) + cost_ns
        return new_events

    def describing_ns(self, memory: Memory) -> Optional[int]:
        """Return when to call describe(), None if the file has the present states."""
        if self._description is not None:
            return 0
        return None if self._described == memory.revision else self._describe_ns

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
        self._unsent += new_events
        while len(self._unsent) > _UNSENT_MAX:
            self._unsent.popleft()
            self._lost += 1
        while self._unsent and self._is_taken(self._unsent[0]):
            self._unsent.popleft()
        if self._lost and not self._unsent:
            message = f"journal: it took no entries for a while; {self._lost} were lost"
            self._lost = 0
            self.log(events.plain(Kind.ENTRIES_LOST, message))

    def publish(self, name: str, document: Document) -> List[Event]:
        """Replace a file in the run-time folder if its content is new; return the events."""
        if document == self._published.get(name):
            return []
        error = self._folder.publish(name, document)
        if error is None:
            self._published[name] = document
        return self._error(name, error, _OLDER)

    def publish_metrics(
        self, textfile: str, status: Document, loaded: bool, traffic: Iterable[Traffic]
    ) -> List[Event]:
        """Replace the metrics file, if one is configured; return the events of that.

        It is written even if nothing has changed: its time shows that the daemon runs.
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
        live = host.live if host is not None else None
        text = metrics.render(status, running, live, traffic)
        return self._error(textfile, publish(textfile, text), "the guard continues without metrics")

    def close(self) -> None:
        """Remove the files: the daemon no longer runs."""
        self._folder.withdraw()
        self._withdraw_metrics()

    def _is_taken(self, event: Event) -> bool:
        try:
            return self._send(event)
        except OSError:
            return True  # neither the journal nor stderr works: nothing is left to log to

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
