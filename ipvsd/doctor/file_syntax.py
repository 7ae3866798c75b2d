"""Decides which files of other programs are in effect, and splits them into lines (pure)."""

import re
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from ipvsd.config import policy
from ipvsd.doctor.diagnosis import Finding, Line, Severity

# A line with it probably reads or sets a value of IPVS.
SETTING = re.compile(r"net[./]ipv4[./]vs[./]\w|\brun_estimation\b")

# Users write crontabs, and matching a line of a megabyte would take long.
_MAX_LINE = 4096
_MAX_PATTERNS = 1000
_BRACES = re.compile(r"\{([^{}]+)\}")


class File(NamedTuple):
    """The path of a file, and its text."""

    path: str
    text: str


class LogicalLine(NamedTuple):
    """A line joined with its continuation lines; its place is that of the first."""

    line: Line
    length: int = 1  # number of lines in the file

    @property
    def text(self) -> str:
        """The text without blanks at its ends."""
        return self.line.text.strip()


def in_effect(listings: Iterable[Tuple[str, Sequence[str]]]) -> List[str]:
    """Return the paths of the files in effect, from folders and the names of files in them.

    systemd and kmod read their folders so: of files with the same name, the one in the first folder
    hides the others, and the files are read in the order of their names.
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
    """Yield the lines, joined where a backslash at the end continues one, also in comments.

    kmod reads modprobe.d so (libkmod-util.c, freadline_wrapped), also where the text ends in a
    backslash. Comments are left out.
    """
    parts: List[str] = []
    first = 1
    lines = file.text.split("\n")
    for number, text in enumerate(lines, 1):
        if not parts:
            first = number
        if text.endswith("\\") and number < len(lines):
            parts.append(text[:-1])
            continue
        joined = "".join([*parts, text.rstrip("\\")]).strip()[:_MAX_LINE]
        if joined and joined[0] != "#":
            yield LogicalLine(Line(file.path, first, joined), number - first + 1)
        parts = []


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a glob from such a file; an invalid glob matches nothing."""
    try:
        return policy.glob(pattern)(text) is not None
    except ValueError:
        return False


def braces(pattern: str) -> List[str]:
    """Return the patterns that a pattern with `{a,b}` stands for, as glob(3) expands them."""
    todo: List[str] = [pattern]
    done: List[str] = []
    while todo and len(todo) + len(done) < _MAX_PATTERNS:
        one = todo.pop()
        found = _BRACES.search(one)
        if found is None:
            done.append(one)
        else:
            choices = found.group(1).split(",")
            todo += [one[: found.start()] + choice + one[found.end() :] for choice in choices]
    return done


def none_found(topic: str, files: Sequence[File], what: str) -> Finding:
    """Return the finding that files have been read, and all is in order."""
    return Finding(topic, Severity.OK, f"none of {len(files)} files {what}")
