"""Shows what the guard has logged, as a table and as totals."""

import argparse
import collections
import os
from typing import Deque, List, Sequence

from ipvsd.commands.output import Output
from ipvsd.journal import entries, reader
from ipvsd.journal.entries import Entry, Totals
from ipvsd.model import Exit
from ipvsd.text import printable

# Version of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
# How many entries are listed where there is no terminal.
_ROWS = 20
_TEXT_COLUMNS = (2, 3)  # the namespace, and what happened


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
    most = None
    if not options.all:
        most = _ROWS if options.json else output.room([], _ROWS)
    shown: Deque[Entry] = collections.deque(maxlen=most)
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
        _print(totals, list(shown), options.all, output)
    return Exit.AS_WANTED


def _print(totals: Totals, shown: Sequence[Entry], everything: bool, output: Output) -> None:
    lines: List[str] = []
    if shown:
        rows = [["TIME", "EVENT", "NAMESPACE", "WHAT", "REACTION"]]
        rows += [list(map(printable, entries.row(entry))) for entry in shown]
        heading, *lines = output.table_lines(rows, _TEXT_COLUMNS)
        if not everything:
            room = output.room([heading, _left_out(totals.entries), str(totals)], _ROWS)
            newest_first = [[line] for line in reversed(lines)]
            lines = lines[-output.that_fit(newest_first, room) :]
        output.line(heading)
    for line in lines:
        output.line(line)
    if totals.entries > len(lines):
        output.line(_left_out(totals.entries - len(lines)))
    if not totals.entries and os.geteuid() != 0:
        text = "journal: has no entries of the guard that you may read;"
        output.line(f"{text} run it as root, or as a member of the group systemd-journal.")
    output.always(str(totals))


def _left_out(count: int) -> str:
    return f"... and {count} earlier; `ipvsd history --all` lists them."
