"""Sends events in their order, and keeps those that are not accepted, up to a limit."""

import collections
from typing import Deque

from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.sender import Send

# Kept while nobody takes any: journald is stopped, its socket or a pipe is full.
UNSENT_MAX = 1000


class Unsent:
    """The events that have not been accepted yet; of too many, the oldest are lost and counted."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: Deque[Event] = collections.deque()
        self._lost = 0

    def log(self, *new_events: Event) -> None:
        """Send events, behind those that wait, without waiting."""
        self._waiting += new_events
        while len(self._waiting) > UNSENT_MAX:
            self._waiting.popleft()
            self._lost += 1
        while self._waiting and self._is_taken(self._waiting[0]):
            self._waiting.popleft()
        if self._lost and not self._waiting:
            message = f"journal: it took no entries for a while; {self._lost} were lost"
            self._lost = 0
            self.log(events.plain(Kind.ENTRIES_LOST, message))

    def _is_taken(self, event: Event) -> bool:
        try:
            return self._send(event)
        except OSError:
            return True  # neither the journal nor stderr works: nothing is left to log to
