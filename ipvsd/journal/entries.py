"""Parses the guard's journal entries, counts them, and formats them as rows of a table (pure)."""

import json
import re
from typing import Any, Dict, List, NamedTuple, Optional

from ipvsd.journal.events import Kind
from ipvsd.model import HOST_NAME, NS_PER_US, Reason
from ipvsd.text import format_duration, iso_time, plural

KINDS = tuple(kind.word for kind in Kind)
# Kinds of entries about a value that differed after a load.
_ANSWERS = (Kind.CHANGED.word, Kind.WOULD_CHANGE.word, Kind.NOT_CHANGED.word)
# Microseconds; with more digits, no date can be computed.
_NUMBER = re.compile(r"[0-9]{1,16}", re.ASCII)


class Entry(NamedTuple):
    """One entry of the journal; a field that the entry lacks is empty or None."""

    wall_ns: int
    kind: str
    message: str
    namespace: str = ""
    owner: str = ""
    key: str = ""
    reason: str = ""
    changes: int = 1  # more where one entry counts many changes
    reaction_ns: Optional[int] = None
    runs_leaked: int = 0


class Totals(NamedTuple):
    """The totals of all entries."""

    entries: int = 0
    loads: Dict[str, int] = {}  # by key: a load may be logged once for each key
    loads_as_wanted: int = 0
    changes: int = 0
    drifts: int = 0
    runs_leaked: int = 0
    slowest_ns: Optional[int] = None

    def plus(self, entry: Entry) -> "Totals":
        """Return the totals including one more entry."""
        changed = entry.kind in (Kind.CHANGED.word, Kind.MANY.word)
        loads = self.loads
        answers_load = entry.kind in _ANSWERS and entry.reason == Reason.LOAD.value
        if answers_load and entry.namespace == HOST_NAME:
            loads = dict(loads, **{entry.key: loads.get(entry.key, 0) + 1})
        drift = changed and entry.reason == Reason.DRIFT.value
        reactions = [ns for ns in (self.slowest_ns, entry.reaction_ns) if ns is not None]
        return Totals(
            self.entries + 1,
            loads,
            self.loads_as_wanted + (entry.kind == Kind.LOADED.word),
            self.changes + (entry.changes if changed else 0),
            self.drifts + int(drift),
            self.runs_leaked + entry.runs_leaked,
            max(reactions, default=None),
        )

    @property
    def load_count(self) -> int:
        """Number of loads of ip_vs that were logged."""
        return max(self.loads.values(), default=0) + self.loads_as_wanted

    def __str__(self) -> str:
        slowest = ""
        if self.slowest_ns is not None:
            slowest = f", slowest reaction {format_duration(self.slowest_ns)}"
        return (
            f"{self.entries} {'entry' if self.entries == 1 else 'entries'}: "
            f"{plural(self.load_count, 'load')}, {plural(self.changes, 'value')} set"
            f"{slowest}, {plural(self.drifts, 'drift')}, "
            f"{plural(self.runs_leaked, 'estimation run')} leaked"
        )


def parse(line: str) -> Optional[Entry]:
    """Return the entry in a line of `journalctl --output=json`, None where there is none.

    A plain line, which the guard writes where journald cannot be reached, has only a message.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    wall_usec = _number(fields, "__REALTIME_TIMESTAMP") if isinstance(fields, dict) else None
    if wall_usec is None:
        return None
    changes = _number(fields, "IPVSD_COUNT_CHANGED")
    reaction_usec = _number(fields, "IPVSD_REACTION_USEC")
    return Entry(
        wall_usec * NS_PER_US,
        _text(fields, "IPVSD_EVENT"),
        _text(fields, "MESSAGE"),
        _text(fields, "IPVSD_NAMESPACE"),
        _text(fields, "IPVSD_OWNER"),
        _text(fields, "IPVSD_KEY"),
        _text(fields, "IPVSD_REASON"),
        1 if changes is None else changes,
        None if reaction_usec is None else reaction_usec * NS_PER_US,
        _number(fields, "IPVSD_PASSES_LEAKED") or 0,
    )


def row(entry: Entry) -> List[str]:
    """Return the cells of a row: time, event, namespace, what happened, reaction; raw text."""
    what = entry.message
    if entry.namespace and ": " in what:
        what = what.partition(": ")[2]  # the namespace has a column of its own
    namespace = entry.namespace or "-"
    if entry.owner and entry.owner != entry.namespace:
        namespace += f" ({entry.owner})"
    reaction = "-" if entry.reaction_ns is None else format_duration(entry.reaction_ns)
    return [iso_time(entry.wall_ns), entry.kind or "-", namespace, what, reaction]


def document(entry: Entry) -> Dict[str, Any]:
    """Return an entry as plain data for JSON."""
    reaction_ns = entry.reaction_ns
    return {
        "time": iso_time(entry.wall_ns),
        "event": entry.kind or None,
        "namespace": entry.namespace or None,
        "owner": entry.owner or None,
        "key": entry.key or None,
        "reason": entry.reason or None,
        "message": entry.message,
        "reaction_usec": None if reaction_ns is None else reaction_ns // NS_PER_US,
        "passes_leaked": entry.runs_leaked,
    }


def totals_document(totals: Totals) -> Dict[str, Any]:
    """Return the totals as plain data for JSON."""
    slowest_ns = totals.slowest_ns
    return {
        "entries": totals.entries,
        "loads": totals.load_count,
        "values_set": totals.changes,
        "drifts": totals.drifts,
        "passes_leaked": totals.runs_leaked,
        "slowest_reaction_usec": None if slowest_ns is None else slowest_ns // NS_PER_US,
    }


def _text(fields: Dict[str, Any], name: str) -> str:
    """Return a field as text, empty if it has none.

    journalctl writes bytes that are not UTF-8 as a list of numbers, and a field that is too large
    as null.
    """
    value = fields.get(name)
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode("utf-8", "replace") if isinstance(value, list) else ""
    except (TypeError, ValueError):  # a field that the entry has more than once
        return ""


def _number(fields: Dict[str, Any], name: str) -> Optional[int]:
    text = _text(fields, name)
    return int(text) if _NUMBER.fullmatch(text) else None
