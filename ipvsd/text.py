"""Text for people: escaping what came from outside, durations."""

import re
from typing import List, Optional, Sequence

from ipvsd.model import NS_PER_MS, NS_PER_S

_UNITS = {"ms": NS_PER_MS, "s": NS_PER_S, "min": 60 * NS_PER_S, "h": 3600 * NS_PER_S, "": NS_PER_S}
# Each part can be read in one way only: otherwise refusing a long text takes very long.
_DURATION = re.compile(r"(?:[0-9]{1,9}(?![0-9])(?:\s*(?:ms|min|s|h))?\s*)+", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]{1,9})\s*(ms|min|s|h|)", re.ASCII)

# Long enough for any path, short enough for a line of the journal.
MAX_PRINTED = 400
MAX_LINE = 10 * MAX_PRINTED

_UNIT_STEP = 1000

# Between two columns of a table, and the least that is left of a column whose heading is shorter.
_GAP = 2
_NARROWEST = 5


def printable(text: str) -> str:
    """Escape what could steer a terminal or split a line; cut what is too long to read."""
    return _escaped(text, MAX_PRINTED)


def error_text(error: OSError) -> str:
    """Return what failed, as far as the error names it, and why; not escaped."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def printable_line(text: str) -> str:
    """Return a whole line of a page or of the journal, in which several such texts may stand."""
    return _escaped(text, MAX_LINE)


def _escaped(text: str, limit: int) -> str:
    begin = text[:limit]
    if not begin.isprintable():
        escape = "unicode_escape"
        begin = "".join(c if c.isprintable() else c.encode(escape).decode() for c in begin)
    return begin if len(begin) <= limit and len(text) <= limit else begin[:limit] + "..."


def columns(text: str) -> int:
    """Return how many columns of a terminal a printable text takes.

    As in Unicode Standard Annex 11: wide and fullwidth characters take two, combining marks none.
    """
    if len(text) == len(text.encode("utf-8", "replace")):
        return len(text)
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    import unicodedata

    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def rows(text: str, width: int) -> int:
    """Return how many rows of a terminal a line takes, which wraps at the width."""
    return max(1, -(-columns(text) // width))


def clipped(text: str, width: int) -> str:
    """Return the beginning of a text that fits into a number of columns."""
    taken = 0
    for at, character in enumerate(text):
        taken += _columns_of(character)
        if taken > width:
            return text[:at]
    return text


def shortened(text: str, width: int, mark: str = "...") -> str:
    """Return a text that fits into a number of columns: what is in its middle may be cut out.

    The beginning and the end distinguish ids, paths and names best.
    """
    if columns(text) <= width:
        return text
    left = max(0, width - len(mark))
    begin = clipped(text, left - left // 2)
    end = text[::-1]
    while columns(end) > left - columns(begin):
        end = end[:-1]
    return begin + mark + end[::-1]


def table(
    cells: Sequence[Sequence[str]],
    width: Optional[int] = None,
    text_columns: Sequence[int] = (),
    mark: str = "...",
) -> List[str]:
    """Return the lines of a table; the first row is the heading.

    Where it is wider than `width`, the cells of the columns that have only text are shortened, the
    widest first, but not to less than the heading: the table may still be too wide.
    """
    widths = [max(columns(row[i]) for row in cells) for i in range(len(cells[0]))]
    excess = 0 if width is None else sum(widths) + _GAP * (len(widths) - 1) - width
    least = [max(_NARROWEST, columns(heading)) for heading in cells[0]]
    for _ in range(excess):
        wide = [i for i in text_columns if widths[i] > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    lines = []
    for row in cells:
        shown = [shortened(cell, limit, mark) for cell, limit in zip(row, widths)]
        padded = [cell + " " * (limit - columns(cell)) for cell, limit in zip(shown, widths)]
        lines.append((" " * _GAP).join(padded).rstrip())
    return lines


def parse_duration(text: str) -> int:
    """Return nanoseconds for a time span in systemd's manner, such as `30s` or `1min 30s`.

    A bare number counts seconds. Raises ValueError with a reason.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError("is not a duration such as 30s, 500ms or 1min")
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def format_duration(ns: int) -> str:
    """Write nanoseconds so that a person can compare them: `820 us`, `3.1 ms`, `1.5 s`."""
    if ns < NS_PER_MS:
        return f"{ns // 1000} us"
    if ns < NS_PER_S:
        return f"{ns / NS_PER_MS:.1f} ms"
    seconds = ns / NS_PER_S
    return f"{seconds:.0f} s" if seconds >= _UNIT_STEP else f"{seconds:.4g} s"


def format_count(number: float) -> str:
    """Write a count or a rate in at most six characters: `0`, `12.5`, `9999`, `1.23M`."""
    for unit in ("", "k", "M", "G", "T"):
        if number < _UNIT_STEP or unit == "T":
            break
        number /= _UNIT_STEP
    return f"{number:.3g}{unit}"


def plural(number: int, noun: str) -> str:
    """Write a count with its noun: `1 time`, `2 times`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def iso_time(wall_ns: int) -> str:
    """Write nanoseconds since the epoch as UTC in ISO 8601, to the millisecond."""
    import datetime

    moment = datetime.datetime.fromtimestamp(wall_ns / 1e9, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
