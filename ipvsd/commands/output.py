"""Printing: JSON alone, or text for people."""

import json
import sys
from typing import Any, Callable, Dict, Sequence


class Output:
    """Where a command's results go; errors go to stderr by themselves."""

    def __init__(self, quiet: bool = False, write: Callable[[str], None] = print) -> None:
        """Take what is given each line of text; JSON goes to stdout in any case."""
        self._quiet = quiet
        self._write = write

    def line(self, text: str = "") -> None:
        """Print a line of text, nothing with --quiet."""
        if not self._quiet:
            self._write(text)

    def always(self, text: str) -> None:
        """Print a line of text, also with --quiet."""
        self._write(text)

    def json(self, document: Dict[str, Any]) -> None:
        """Print one JSON document and nothing else."""
        json.dump(document, sys.stdout, indent=2)
        print(flush=True)

    def json_line(self, document: Dict[str, Any]) -> None:
        """Print one of several JSON documents, each in a line of its own."""
        print(json.dumps(document), flush=True)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns, the first row being the heading."""
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths))
            self.line("  ".join(cells).rstrip())
