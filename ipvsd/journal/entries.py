"""The guard's entries of the journal: read, counted, and as rows of a table."""

import json
import re
from typing import Any, Dict, List, NamedTuple, Optional

from ipvsd.journal.events import Kind
from ipvsd.model import HOST_NAME, NS_PER_US, Reason
from ipvsd.text import format_duration, iso_time

KINDS = tuple(kind.word for kind in Kind)
# Entries about a value that was found different after a load.
_ANSWERS = (Kind.CHANGED.word, Kind.WOULD_CHANGE.word, Kind.NOT_CHANGED.word)
# As microseconds, times that a date can be told of.
_NUMBER = re.compile(r"[0-9]{1,16}", re.ASCII)


class Entry(NamedTuple):
    """One entry; what it has no field for is empty or None."""

    wall_ns: int
    kind: str
    message: str
    namespace: str = ""
    owner: str = ""
    key: str = ""
    reason: str = ""
    changes: int = 1  # where the entry stands for many
    reaction_ns: Optional[int] = None
    runs_leaked: int = 0


class Totals(NamedTuple):
    """What the entries come to."""

    entries: int = 0
    loads: Dict[str, int] = {}  # by key: each load may be told once for each
    loads_as_wanted: int = 0
    changes: int = 0
    drifts: int = 0
    runs_leaked: int = 0
    slowest_ns: Optional[int] = None

    def plus(self, entry: Entry) -> "Totals":
        """Return the totals with one entry more."""
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
        """How many loads of ip_vs were told."""
        return max(self.loads.values(), default=0) + self.loads_as_wanted

    def __str__(self) -> str:
        slowest = "" if self.slowest_ns is None else f", slowest {format_duration(self.slowest_ns)}"
        return (
            f"{self.entries} entries: {self.load_count} loads, {self.changes} values set"
            f"{slowest}, {self.drifts} drifts, {self.runs_leaked} passes leaked"
        )


def parse(line: str) -> Optional[Entry]:
    """Return the entry in a line of `journalctl --output=json`, None where there is none.

    A plain line, written where the journal's library is missing, has a message and nothing else.
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
    """Return the cells of a table's row: time, event, namespace, what, reaction; raw text."""
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
    """A field as text: journalctl writes what is no UTF-8 as numbers, what is too large as null."""
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
