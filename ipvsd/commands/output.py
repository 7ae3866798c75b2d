"""Prints JSON alone, or text for people, in which text from outside cannot control a terminal."""

import json
import sys
from typing import Any, Callable, Dict, Sequence, TextIO

from ipvsd.text import printable_line


class Output:
    """Prints the results and the problems of a command."""

    def __init__(self, quiet: bool = False, write: Callable[[str], None] = print) -> None:
        """Remember `write`, which is called with each line of text; JSON always goes to stdout."""
        self._quiet = quiet
        self._write = write

    def line(self, text: str = "") -> None:
        """Print a line of text, but nothing with --quiet."""
        if not self._quiet:
            self.always(text)

    def always(self, text: str) -> None:
        """Print a line of text, also with --quiet."""
        self._write(plain(text, sys.stdout))

    def problem(self, text: str) -> None:
        """Print a line of text on stderr, also with --quiet."""
        print(f"ipvsd: {plain(text, sys.stderr)}", file=sys.stderr)

    def json(self, document: Dict[str, Any]) -> None:
        """Print one JSON document and nothing else."""
        print(json.dumps(document, indent=2), flush=True)

    def json_line(self, document: Dict[str, Any]) -> None:
        """Print one of several JSON documents, each in a line of its own."""
        print(json.dumps(document), flush=True)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns; the first row is the heading."""
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths))
            self.line("  ".join(cells).rstrip())


def plain(text: str, stream: TextIO) -> str:
    """Return a line that the stream can encode, without control characters for a terminal."""
    encoding = stream.encoding or "ascii"
    return printable_line(text).encode(encoding, "backslashreplace").decode(encoding)
