"""Draws pages and a progress bar on a terminal."""

import os
import sys
from typing import List, Mapping, NamedTuple, Optional, Sequence, TextIO

from ipvsd.text import clipped, printable

_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"


class Size(NamedTuple):
    """The size of a terminal, in characters."""

    columns: int
    rows: int


# Where a terminal does not tell its size, as on a serial line.
USUAL = Size(80, 24)


def size(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Optional[Size]:
    """Return the size of the terminal that a stream leads to, None if it leads elsewhere."""
    if not stream.isatty():
        return None
    try:
        found = Size(*os.get_terminal_size(stream.fileno()))
    except (OSError, ValueError):  # ValueError: the stream has no descriptor
        found = Size(0, 0)
    named = [environ.get(name, "") for name in ("COLUMNS", "LINES")]
    return Size(
        *(
            int(word) if word.isdigit() and int(word) else told or usual
            for word, told, usual in zip(named, found, USUAL)
        )
    )


class Screen:
    """A screen: on a terminal each page replaces the one before, elsewhere it follows it."""

    def __init__(
        self, stdout: Optional[TextIO] = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._stdout = sys.stdout if stdout is None else stdout
        self._environ = environ
        self._over = self._stdout.isatty() and environ.get("TERM", "dumb") != "dumb"
        self._begun = False

    @property
    def size(self) -> Optional[Size]:
        """The size of the terminal, None where pages follow each other."""
        return (size(self._stdout, self._environ) or USUAL) if self._over else None

    def show(self, lines: Sequence[str]) -> None:
        """Show a page; if it is too large for the terminal, show its upper left part."""
        terminal = self.size
        if terminal is not None:
            text = page(lines, terminal)
        else:
            text = "\n".join([*([""] if self._begun else []), *lines, ""])
        self._begun = True
        self._stdout.write(text)
        self._stdout.flush()


def page(lines: Sequence[str], terminal: Size) -> str:
    """Return the text that draws a page; the last row of the terminal stays empty."""
    shown: List[str] = [
        clipped(line, terminal.columns) + _CLEAR_LINE for line in lines[: terminal.rows - 1]
    ]
    return _HOME + "\n".join([*shown, _CLEAR_BELOW])


_WIDTH = 30


class Progress:
    """A progress bar on stderr, so that stdout has only the results; only on a terminal."""

    def __init__(
        self,
        wanted: bool = True,
        stderr: Optional[TextIO] = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._stderr = sys.stderr if stderr is None else stderr
        self._environ = environ
        terminal = self._stderr.isatty() and environ.get("TERM", "dumb") != "dumb"
        self._shown = wanted and terminal
        self._drawn = ""

    def show(self, what: str, done: float) -> None:
        """Show the progress of something; `done` is between 0 and 1."""
        # One row, and not its last column: what wraps would stay on the screen.
        columns = (size(self._stderr, self._environ) or USUAL).columns
        text = clipped(bar(what, done), columns - 1)
        if self._shown and text != self._drawn:
            self._drawn = text
            self._stderr.write(f"\r{text}{_CLEAR_LINE}")
            self._stderr.flush()

    def end(self) -> None:
        """Remove the bar."""
        if self._drawn:
            self._drawn = ""
            self._stderr.write(f"\r{_CLEAR_LINE}")
            self._stderr.flush()


def bar(what: str, done: float) -> str:
    """Return the text of the bar."""
    full = int(min(1.0, max(0.0, done)) * _WIDTH)
    return f"[{'#' * full}{'-' * (_WIDTH - full)}] {printable(what)}"
