"""Configuration files of other programs: which of them count, and what their lines are."""

from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from ipvsd.config import policy
from ipvsd.doctor.diagnosis import Line

# Users write crontabs, and patterns take their time with a line of a megabyte.
_MAX_LINE = 4096


class File(NamedTuple):
    """A file as it was read: where, and what was in it."""

    path: str
    text: str


class LogicalLine(NamedTuple):
    """A line with those that continue it: the first one's place, and how many there are."""

    line: Line
    length: int = 1

    @property
    def text(self) -> str:
        """What it says, without blanks at its ends."""
        return self.line.text.strip()


def in_effect(listings: Iterable[Tuple[str, Sequence[str]]]) -> List[str]:
    """Return the paths that count of folders and the names in them, the first folder ranking first.

    As systemd's and kmod's folders are read: of files with the same name, that in the first folder
    hides the others, and they are read in the order of their names.
    """
    chosen: Dict[str, str] = {}
    for folder, names in listings:
        for name in names:
            chosen.setdefault(name, f"{folder}/{name}")
    return [chosen[name] for name in sorted(chosen)]


def plain_lines(file: File, comments: str = "#") -> Iterator[LogicalLine]:
    """Yield the lines that are neither empty nor a comment."""
    for number, text in enumerate(file.text.split("\n"), 1):
        if text.strip() and text.strip()[0] not in comments:
            yield LogicalLine(Line(file.path, number, text.strip()[:_MAX_LINE]))


def continued_lines(file: File) -> Iterator[LogicalLine]:
    """Yield lines of which a backslash at the end continues one, comments too, joined by nothing.

    As kmod reads modprobe.d (libkmod-util.c, freadline_wrapped) and udev its rules.
    """
    parts: List[str] = []
    first = 1
    for number, raw in enumerate(file.text.split("\n"), 1):
        text = raw.rstrip("\r")
        if not parts:
            first = number
        if text.endswith("\\"):
            parts.append(text[:-1])
            continue
        joined = "".join([*parts, text]).strip()[:_MAX_LINE]
        if joined and joined[0] != "#":
            yield LogicalLine(Line(file.path, first, joined), number - first + 1)
        parts = []


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a glob that stands in such a file; what is no glob matches nothing."""
    try:
        return policy.glob(pattern)(text) is not None
    except ValueError:
        return False
