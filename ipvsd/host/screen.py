"""A terminal that shows one page after another."""

import os
import shutil
import sys
from typing import List, Mapping, Optional, Sequence, TextIO

_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"


class Screen:
    """Draws pages over each other on a terminal, and below each other elsewhere."""

    def __init__(
        self, stdout: Optional[TextIO] = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._stdout = sys.stdout if stdout is None else stdout
        self._over = self._stdout.isatty() and environ.get("TERM", "dumb") != "dumb"
        self._begun = False

    def show(self, lines: Sequence[str]) -> None:
        """Show a page; of one that is too large for the terminal, the upper left part."""
        if self._over:
            size = shutil.get_terminal_size()
            text = page(lines, size.columns, size.lines)
        else:
            text = "\n".join([*([""] if self._begun else []), *lines, ""])
        self._begun = True
        self._stdout.write(text)
        self._stdout.flush()


def page(lines: Sequence[str], columns: int, rows: int) -> str:
    """Return the characters that draw a page; the last row of the terminal stays empty."""
    shown: List[str] = [line[:columns] + _CLEAR_LINE for line in lines[: rows - 1]]
    return _HOME + "\n".join([*shown, _CLEAR_BELOW])
