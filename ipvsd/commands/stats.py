"""Show connections, packets and bytes, and their rates, whether or not estimation is on."""

import argparse
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.commands.arguments import add_watch
from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.kernel import ipvs, ipvs_counters, module
from ipvsd.kernel.ipvs_counters import Counters, Rates, Readout
from ipvsd.model import HOST_NAME, NS_PER_S, NS_PER_US, Exit, Identity, Module, Namespace
from ipvsd.system import streams
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.terminal import Screen
from ipvsd.text import format_count, printable

# Of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
# What fits on a screen together with the lines around the table.
_ROWS = 18

_COLUMNS = ["NAMESPACE", "CONNS", "IN PKTS", "OUT PKTS", "IN BYTES", "OUT BYTES"]
_RATE_COLUMNS = ["CONNS/s", "IN PKTS/s", "OUT PKTS/s", "IN BYTES/s", "OUT BYTES/s"]


class Row(NamedTuple):
    """One namespace: its counters now, and how fast they grow."""

    namespace: Namespace
    readout: Readout
    rates: Rates


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_watch(parser)
    parser.add_argument("--all", action="store_true", help="list every namespace")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Read twice, an interval apart, and again for each page of a watch."""
    state = module.state(options.root)
    if not state.loaded and not options.json:
        output.line("ip_vs is not loaded: nothing is counted.")
        return Exit.AS_WANTED
    reader = NamespaceReader(config_files.load(options.places).policy, options.root)
    screen = Screen()
    try:
        before, before_ns = _readouts(reader, options.root), monotonic_ns()
        while True:
            time.sleep(options.interval / NS_PER_S)
            now, now_ns = _readouts(reader, options.root), monotonic_ns()
            rows = _rows(before, now, now_ns - before_ns)
            if options.json:
                show = output.json_line if options.watch else output.json
                show(_document(rows, state, now_ns - before_ns))
            else:
                lines: List[str] = []
                _print(rows, None if options.all else _ROWS, Output(write=lines.append))
                screen.show(lines)
            if not options.watch or streams.failure(sys.stdout) is not None:
                return Exit.AS_WANTED
            before, before_ns = now, now_ns
    finally:
        reader.close()


# By identity: the owner that is found first may be another process the next time.
Readouts = Dict[Identity, Tuple[Namespace, Readout]]


def _readouts(reader: NamespaceReader, root: str) -> Readouts:
    found = reader.read(lambda: ipvs.counters(root))
    return {one.identity: (one, readout) for one, readout in found if readout is not None}


def _rows(before: Readouts, now: Readouts, elapsed_ns: int) -> List[Row]:
    """Return the host first, then the busiest; a namespace that is new has no rate yet."""
    rows = []
    for identity, (namespace, readout) in now.items():
        _, earlier = before.get(identity, (namespace, readout))
        rates = ipvs_counters.rates(earlier.live, readout.live, elapsed_ns)
        rows.append(Row(namespace, readout, rates))
    return sorted(
        rows,
        key=lambda row: (
            row.namespace.name != HOST_NAME,
            -(row.rates.bytes_in + row.rates.bytes_out),
            -(row.readout.live.bytes_in + row.readout.live.bytes_out),
            row.namespace.name,
        ),
    )


def _print(rows: Sequence[Row], limit: Optional[int], output: Output) -> None:
    shown = rows if limit is None else rows[:limit]
    heading = [cell for pair in zip(_COLUMNS[1:], _RATE_COLUMNS) for cell in pair]
    table = [[_COLUMNS[0], *heading]]
    table += [_cells(str(row.namespace), row.readout.live, row.rates) for row in shown]
    if len(rows) > 1:
        total, rates = Counters(), Rates()
        for row in rows:
            total = total.plus(row.readout.live)
            rates = Rates(*(one + another for one, another in zip(rates, row.rates)))
        table.append(_cells(f"all {len(rows)}", total, rates))
    output.table(table)
    if len(rows) > len(shown):
        output.line(f"... {len(rows) - len(shown)} are not listed; `ipvsd stats --all` does.")
    frozen = sum(row.readout.live != row.readout.estimated for row in rows)
    if frozen:
        output.line(
            f"The totals of ipvsadm --stats and of exporters are behind in {frozen} of them."
        )
    output.line("Of single services, only ActiveConn and InActConn (ipvsadm -L) are live.")


def _cells(name: str, live: Counters, rates: Rates) -> List[str]:
    cells = [format_count(number) for pair in zip(live, rates) for number in pair]
    return [printable(name), *cells]


def _document(rows: Sequence[Row], state: Module, elapsed_ns: int) -> Dict[str, Any]:
    return {
        "version": _VERSION,
        "module": state.value,
        "interval_usec": elapsed_ns // NS_PER_US,
        "namespaces": [
            {
                "name": row.namespace.name,
                "device": row.namespace.device,
                "inode": row.namespace.inode,
                "live": row.readout.live._asdict(),
                "rates": row.rates._asdict(),
                "estimated": row.readout.estimated._asdict(),
            }
            for row in rows
        ],
    }
