"""Show connections, packets and bytes, and their rates, whether or not estimation is on."""

import argparse
import functools
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.commands.arguments import add_watch
from ipvsd.commands.output import Output, confirm, plain
from ipvsd.config import files as config_files
from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.kernel import ipvs, ipvs_counters, module
from ipvsd.kernel.ipvs_counters import Counters, Rates, Readout
from ipvsd.model import (
    HOST_NAME,
    NS_PER_S,
    NS_PER_US,
    Exit,
    GuardError,
    Identity,
    Module,
    Namespace,
    Policy,
)
from ipvsd.system import streams
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.terminal import Screen
from ipvsd.text import format_count, plural, printable

if TYPE_CHECKING:
    from ipvsd.measure.refresh import Refreshed
    from ipvsd.status.service_totals import ServiceTotals

# Of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
# How many namespaces are listed where there is no terminal.
_ROWS = 18
_SEVERAL = 2

_COLUMNS = ["CONNS", "IN PKTS", "OUT PKTS", "IN BYTES", "OUT BYTES"]
# Two rows of a narrow table, with the rates below the totals.
_NARROW = [
    ["", "", "IN", "OUT", "IN", "OUT"],
    ["NAMESPACE", "CONNS", "PKTS", "PKTS", "BYTES", "BYTES"],
]


class Row(NamedTuple):
    """One namespace: its counters now, and how fast they grow."""

    namespace: Namespace
    readout: Readout
    rates: Rates


class Shown(NamedTuple):
    """The cells of one namespace: its name, its totals, and its rates."""

    name: str
    live: List[str]
    rates: List[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_watch(parser)
    parser.add_argument("--all", action="store_true", help="list every namespace")
    parser.add_argument(
        "--services",
        action="store_true",
        help="show the totals of each service and real server, by ipvsadm, and their time",
    )
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="with --services: have estimation run once before (not where threads estimate)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before --refresh")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Read twice, an interval apart, and again for each page of a watch."""
    state = module.state(options.root)
    if options.services and options.watch:
        raise GuardError("--services cannot be combined with --watch", Exit.USAGE)
    if options.refresh and not options.services:
        raise GuardError("--refresh needs --services: it makes their totals fresh", Exit.USAGE)
    if not state.loaded and not options.json:
        output.line("ip_vs is not loaded: nothing is counted.")
        return Exit.AS_WANTED
    policy = config_files.load(options.places).policy
    if options.services:
        return _services(options, policy, state, output)
    reader = NamespaceReader(policy, options.root, lambda: ipvs.counters(options.root))
    screen = Screen()
    try:
        before, before_ns = _readouts(reader), monotonic_ns()
        while True:
            time.sleep(options.interval / NS_PER_S)
            now, now_ns = _readouts(reader), monotonic_ns()
            rows = _rows(before, now, now_ns - before_ns)
            if options.json:
                show = output.json_line if options.watch else output.json
                show(_document(rows, state, now_ns - before_ns))
            else:
                _show(rows, options, output, screen)
            if not options.watch or streams.failure(sys.stdout) is not None:
                return Exit.AS_WANTED
            before, before_ns = now, now_ns
    finally:
        reader.close()


def _services(options: argparse.Namespace, policy: Policy, state: Module, output: Output) -> Exit:
    """Show all services; the exit code says whether all could be read and, if asked, refreshed."""
    # These start programs or set probes, which the usual call does not.
    from ipvsd.measure import refresh
    from ipvsd.status import service_totals

    refreshed = None
    if options.refresh:
        service_totals.check()  # before anything is switched
        refreshed = _refresh(options, output)
    # Where ip_vs is not loaded, ipvsadm would load it.
    found = service_totals.read(policy, options.root) if state.loaded else []
    if options.json:
        document = {
            "version": _VERSION,
            "module": state.value,
            "refreshed": refreshed and refresh.document(refreshed),
            "namespaces": service_totals.document(found),
        }
        output.json(document)
    elif not found:
        output.line("No namespace has services.")
    else:
        _print_services(found, output)
    unread = [printable(str(one.namespace)) for one in found if one.services is None]
    for name in unread:
        output.problem(f"{name}: the services cannot be read: entering it or ipvsadm failed")
    unsure = refreshed is not None and refreshed.unseen
    return Exit.CANNOT_TELL if unread or unsure else Exit.AS_WANTED


def _print_services(found: "Sequence[ServiceTotals]", output: Output) -> None:
    for number, one in enumerate(each for each in found if each.services is not None):
        if number:
            output.line()
        output.line(f"{printable(str(one.namespace))}: {one.time}")
        output.table([["SERVICE", *_COLUMNS], *one.rows()])


def _refresh(options: argparse.Namespace, output: Output) -> "Refreshed":
    from ipvsd.measure import refresh
    from ipvsd.status.reload import apply_configuration

    root, places = options.root, options.places
    apply = functools.partial(apply_configuration, root, places, refresh.SET_LIMIT_NS)
    done = refresh.refresh(root, places, apply, functools.partial(_confirm, options))
    if done.left:
        output.problem(done.left)
    if done.unseen:
        where = plural(done.unseen, "namespace")
        output.problem(f"--refresh: no estimation run was seen in {where}; its totals may be old")
    if not options.json:
        output.line(f"{refresh.sentence(done)}")
        output.line()
    return done


def _confirm(options: argparse.Namespace, question: str) -> None:
    """Say what a refresh costs, and ask for consent. Raises GuardError without it."""
    if options.yes:
        sys.stderr.write(plain(question, sys.stderr) + "\n")
        return
    confirm(question, "--refresh", "2 s")


def _show(rows: Sequence[Row], options: argparse.Namespace, output: Output, screen: Screen) -> None:
    if not options.watch:
        _print(rows, options.all, output)
        return
    lines: List[str] = []
    _print(rows, options.all, Output(write=lines.append, terminal=screen.size, wraps=False))
    screen.show(lines)


# By identity: the owner that is found first may be another process the next time.
Readouts = Dict[Identity, Tuple[Namespace, Readout]]


def _readouts(reader: NamespaceReader[Optional[Readout]]) -> Readouts:
    return {one.identity: (one, readout) for one, readout in reader.read() if readout is not None}


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


def _print(rows: Sequence[Row], everything: bool, output: Output) -> None:
    below = _below(rows)
    heading, groups = _drawn([_shown(row) for row in rows] + _total(rows), output)
    total = [line for group in groups[len(rows) :] for line in group]
    count = len(rows)
    if not everything:
        room = output.room([*heading, *total, _left_out(count), *below], _ROWS)
        count = output.that_fit(groups[:count], room)
    for line in [*heading, *(line for group in groups[:count] for line in group), *total]:
        output.line(line)
    if count < len(rows):
        output.line(_left_out(len(rows) - count))
    for line in below:
        output.line(line)


def _shown(row: Row) -> Shown:
    return _figures(printable(str(row.namespace)), row.readout.live, row.rates)


def _total(rows: Sequence[Row]) -> List[Shown]:
    """Return the sums over all namespaces, nothing if there is only one."""
    if len(rows) < _SEVERAL:
        return []
    live, rates = Counters(), Rates()
    for row in rows:
        live = live.plus(row.readout.live)
        rates = Rates(*(one + another for one, another in zip(rates, row.rates)))
    return [_figures(f"all {len(rows)}", live, rates)]


def _figures(name: str, live: Counters, rates: Rates) -> Shown:
    return Shown(name, list(map(format_count, live)), list(map(format_count, rates)))


def _drawn(shown: Sequence[Shown], output: Output) -> Tuple[List[str], List[List[str]]]:
    """Return the lines of the heading, and those of each namespace.

    On a terminal that is too narrow, the rates stand below the totals; numbers are never cut.
    """
    heading = ["NAMESPACE", *(cell for name in _COLUMNS for cell in (name, f"{name}/s"))]
    cells = [[one.name, *(n for pair in zip(one.live, one.rates) for n in pair)] for one in shown]
    if output.fits([heading, *cells]):
        wide = output.table_lines([heading, *cells])
        return wide[:1], [[line] for line in wide[1:]]
    cells = [row for one in shown for row in ([one.name, *one.live], ["  per second", *one.rates])]
    narrow = output.table_lines([*_NARROW, *cells], text_columns=[0])
    return narrow[:2], [list(pair) for pair in zip(narrow[2::2], narrow[3::2])]


def _left_out(count: int) -> str:
    return f"... {count} are not listed; `ipvsd stats --all` does."


def _below(rows: Sequence[Row]) -> List[str]:
    """Return the lines below the table."""
    frozen = sum(row.readout.live != row.readout.estimated for row in rows)
    lines = ["Of single services, only ActiveConn and InActConn (ipvsadm -L) are live."]
    if frozen:
        behind = "The totals of ipvsadm --stats and of exporters are behind in"
        lines.insert(0, f"{behind} {frozen} of them.")
    return lines


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
