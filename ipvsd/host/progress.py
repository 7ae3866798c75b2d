"""A progress bar, on a terminal only."""

import os
import sys
from typing import Mapping, Optional, TextIO

from ipvsd.core.text import printable

_WIDTH = 30
_CLEAR_LINE = "\x1b[K"


class Progress:
    """A bar on stderr, so that stdout has the results alone; nothing where that is no terminal."""

    def __init__(
        self,
        wanted: bool = True,
        stderr: Optional[TextIO] = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._stderr = sys.stderr if stderr is None else stderr
        terminal = self._stderr.isatty() and environ.get("TERM", "dumb") != "dumb"
        self._shown = wanted and terminal
        self._drawn = ""

    def show(self, what: str, done: float) -> None:
        """Show how far something is: 0 to 1."""
        text = bar(what, done)
        if self._shown and text != self._drawn:
            self._drawn = text
            self._stderr.write(f"\r{text}{_CLEAR_LINE}")
            self._stderr.flush()

    def end(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._drawn = ""
            self._stderr.write(f"\r{_CLEAR_LINE}")
            self._stderr.flush()


def bar(what: str, done: float) -> str:
    """Return the bar's text."""
    full = int(min(1.0, max(0.0, done)) * _WIDTH)
    return f"[{'#' * full}{'-' * (_WIDTH - full)}] {printable(what)}"
