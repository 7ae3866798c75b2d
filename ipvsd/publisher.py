"""What the daemon tells others: entries of the journal, status files, metrics. Never in its way."""

import collections
import os
import time
from typing import Any, Deque, Dict, List, Optional

from ipvsd.core import events, metrics
from ipvsd.core.events import Event, Kind
from ipvsd.core.text import iso_time
from ipvsd.host.journal import Send
from ipvsd.host.state import RuntimeFolder, publish, withdraw
from ipvsd.kernel import ipvs

# Told in the status file too, for `ipvsd status --watch`: what fits below the rest on a screen.
_RECENT_EVENTS = 8
# Kept while the journal takes none: it is full, or journald stands still.
_UNTOLD_MAX = 1000

Document = Dict[str, Any]


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

    def note(self, news: List[Event]) -> List[Dict[str, str]]:
        """Take events that are about to be told; return the last ones as plain data."""
        now = iso_time(int(time.time() * 1e9))
        self._recent += [
            {"time": now, "event": event.kind.word, "message": event.message} for event in news
        ]
        return list(self._recent)

    def tell(self, *news: Event) -> None:
        """Send events to the journal, behind those that it has not taken yet; never wait for it."""
        self._untold += news
        while len(self._untold) > _UNTOLD_MAX:
            self._untold.popleft()
            self._lost += 1
        while self._untold and self._is_taken(self._untold[0]):
            self._untold.popleft()
        if self._lost and not self._untold:
            message = f"journal: it has taken nothing for a while, {self._lost} entries are lost"
            self._lost = 0
            self.tell(events.plain(Kind.ENTRIES_LOST, message))

    def publish(self, name: str, document: Document) -> List[Event]:
        """Replace a file in the run-time folder if its content is new; return what is news."""
        if document == self._published.get(name):
            return []
        error = self._folder.publish(name, document)
        if error is None:
            self._published[name] = document
        return self._error(name, error, "`ipvsd status` shows older counters, the guard goes on")

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
