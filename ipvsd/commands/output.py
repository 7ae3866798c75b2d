"""Prints JSON alone, or text for people, in which text from outside cannot control a terminal."""

import sys
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, TextIO

from ipvsd import text
from ipvsd.model import Exit, GuardError
from ipvsd.system.terminal import Size

_ELLIPSIS = "\u2026"


class Output:
    """Prints the results and the problems of a command."""

    def __init__(
        self,
        quiet: bool = False,
        write: Callable[[str], None] = print,
        terminal: Optional[Size] = None,
        wraps: bool = True,
    ) -> None:
        """Remember `write`, which is called with each line of text; JSON always goes to stdout.

        On a `terminal`, tables are made to fit. Lines that are too long wrap there, or are cut.
        """
        self._quiet = quiet
        self._write = write
        self._wraps = wraps
        self.terminal = terminal

    def line(self, words: str = "") -> None:
        """Print a line of text, but nothing with --quiet."""
        if not self._quiet:
            self.always(words)

    def always(self, words: str) -> None:
        """Print a line of text, also with --quiet."""
        self._write(plain(words, sys.stdout))

    def problem(self, words: str) -> None:
        """Print a line of text on stderr, also with --quiet."""
        print(f"ipvsd: {plain(words, sys.stderr)}", file=sys.stderr)

    def json(self, document: Dict[str, Any]) -> None:
        """Print one JSON document and nothing else."""
        import json

        print(json.dumps(document, indent=2), flush=True)

    def json_line(self, document: Dict[str, Any]) -> None:
        """Print one of several JSON documents, each in a line of its own."""
        import json

        print(json.dumps(document), flush=True)

    def table(self, cells: Sequence[Sequence[str]], text_columns: Sequence[int] = ()) -> None:
        """Print rows in columns; the first row is the heading. See table_lines()."""
        for line in self.table_lines(cells, text_columns):
            self.line(line)

    def table_lines(
        self, cells: Sequence[Sequence[str]], text_columns: Sequence[int] = ()
    ) -> List[str]:
        """Return the lines of a table.

        On a terminal that is too narrow, cells of the columns with text are cut in the middle.
        """
        shown = [[plain(cell, sys.stdout) for cell in row] for row in cells]
        mark = _ELLIPSIS if plain(_ELLIPSIS, sys.stdout) == _ELLIPSIS else "..."
        width = None if self.terminal is None else self.terminal.columns
        return text.table(shown, width, text_columns, mark)

    def fits(self, cells: Sequence[Sequence[str]]) -> bool:
        """Return whether a table fits without cutting any cell."""
        if self.terminal is None:
            return True
        return max(map(text.columns, self.table_lines(cells))) <= self.terminal.columns

    def rows(self, lines: Iterable[str]) -> int:
        """Return how many rows of the terminal lines take, wrapped where they are too long."""
        if self.terminal is None or not self._wraps:
            return sum(1 for _ in lines)
        return sum(text.rows(plain(line, sys.stdout), self.terminal.columns) for line in lines)

    def room(self, besides: Iterable[str], usual: int) -> int:
        """Return how many rows are left besides some lines and the shell's prompt.

        `usual` is the answer where there is no terminal.
        """
        if self.terminal is None:
            return usual
        return max(0, self.terminal.rows - 1 - self.rows(besides))

    def that_fit(self, groups: Sequence[Sequence[str]], room: int) -> int:
        """Return how many of the first groups of lines fit into a room, at least one."""
        for count, group in enumerate(groups):
            room -= self.rows(group)
            if room < 0:
                return max(1, count)
        return len(groups)


def confirm(question: str, option: str, time: str) -> None:
    """Ask whether to switch estimation on, which an option does for some time.

    Raises GuardError without consent, and where nobody can be asked.
    """
    if not sys.stdin.isatty():
        message = f"{option}: switches estimation on for {time}, and cannot ask here; add --yes"
        raise GuardError(message, Exit.USAGE)
    sys.stderr.write(f"{plain(question, sys.stderr)} Continue? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise GuardError(f"{option}: nothing was changed", Exit.USAGE)


def plain(words: str, stream: TextIO) -> str:
    """Return a line that the stream can encode, without control characters for a terminal."""
    encoding = stream.encoding or "ascii"
    return text.printable_line(words).encode(encoding, "backslashreplace").decode(encoding)
