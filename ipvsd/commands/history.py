"""Shows what the guard has logged, as a table and as totals."""

import argparse
import collections
import os
from typing import Deque

from ipvsd.commands.output import Output
from ipvsd.journal import entries, reader
from ipvsd.journal.entries import Entry, Totals
from ipvsd.model import Exit
from ipvsd.text import printable

# Version of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
# How many entries fit on a screen.
_ROWS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="only entries from then on, as in journalctl(1): today, '2 hours ago', ...",
    )
    parser.add_argument(
        "--kind",
        action="append",
        choices=entries.KINDS,
        metavar="EVENT",
        help="only entries of this event; may be given several times",
    )
    parser.add_argument("--all", action="store_true", help="list every entry")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print the totals only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Read the journal once, and print the entries, the newest last, and the totals."""
    totals = Totals()
    shown: Deque[Entry] = collections.deque(maxlen=None if options.all else _ROWS)
    for line in reader.lines(options.since):
        entry = entries.parse(line)
        if entry is not None and (not options.kind or entry.kind in options.kind):
            totals = totals.plus(entry)
            shown.append(entry)
    if options.json:
        output.json(
            {
                "version": _VERSION,
                "totals": entries.totals_document(totals),
                "entries": [entries.document(entry) for entry in shown],
            }
        )
    else:
        _print(totals, shown, output)
    return Exit.AS_WANTED


def _print(totals: Totals, shown: Deque[Entry], output: Output) -> None:
    if shown:
        rows = [["TIME", "EVENT", "NAMESPACE", "WHAT", "REACTION"]]
        output.table(rows + [list(map(printable, entries.row(entry))) for entry in shown])
    left = totals.entries - len(shown)
    if left:
        output.line(f"... and {left} earlier; `ipvsd history --all` lists them.")
    if not totals.entries and os.geteuid() != 0:
        text = "journal: has no entries of the guard that you may read;"
        output.line(f"{text} run it as root, or as a member of the group systemd-journal.")
    output.always(str(totals))
