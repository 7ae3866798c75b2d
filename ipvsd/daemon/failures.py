"""Decides what is logged of cycles that fail, and how soon the next one follows."""

import os
import traceback
from typing import List

from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.model import NS_PER_S
from ipvsd.text import printable

# What has failed twice may fail in each cycle: it costs one a second, and a line a minute.
PAUSE_NS = NS_PER_S
SILENCE_NS = 60 * NS_PER_S


class Failures:
    """Cycles that have failed. All times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self.pause_end_ns = 0  # nothing but a signal begins a cycle before
        self._failed_ns = -SILENCE_NS
        self._logged = ""
        self._logged_ns = -SILENCE_NS

    def note(self, error: Exception, now_ns: int) -> List[Event]:
        """Return what to log of a failure: nothing if the same was logged a short time ago."""
        if now_ns < self._failed_ns + 2 * PAUSE_NS:
            self.pause_end_ns = now_ns + PAUSE_NS
        self._failed_ns = now_ns
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{os.path.basename(where.filename)}:{where.lineno}"
        message = f"guard: a cycle failed: {error!r} at {line}; the next periodic check retries"
        if message == self._logged and now_ns < self._logged_ns + SILENCE_NS:
            return []
        self._logged, self._logged_ns = message, now_ns
        return [events.plain(Kind.CYCLE_FAILED, printable(message))]
