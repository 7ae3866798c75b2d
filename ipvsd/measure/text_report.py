"""Formats the document of a measurement as text for people (pure)."""

import functools
from typing import Any, Callable, Dict, List, Optional, Sequence

from ipvsd.measure.text_chart import Size, chart
from ipvsd.model import NS_PER_US
from ipvsd.text import format_duration, printable, table

Document = Dict[str, Any]
Parts = Sequence[Optional[Document]]  # the same part of each phase
Table = List[List[str]]

# Two charts, with their labels, fit on a screen of 80 columns.
_SIZE = Size(width=60, height=4)
_LABEL_WIDTH = 9
# The namespaces that cost most; all are in the JSON.
_ROWS = 10
_PERCENTILES = (
    ("p50", "median"),
    ("p90", "90 %"),
    ("p99", "99 %"),
    ("p999", "99.9 %"),
    ("max", "longest"),
)


def lines(document: Document, plain: bool) -> List[str]:
    """Return the lines of the report; `plain` means only ASCII characters."""
    report = [*_head(document), "", *_namespaces(document)]
    phases = document["phases"]
    if phases:
        report += ["", *_results(phases)]
        for title, series in (("estimation runs", "passes"), ("round trips", "pings")):
            report += _charts(phases, title, series, plain)
    if document["verdict"] or document["notes"]:
        report.append("")
    report += [_sentence(text) for text in document["verdict"]]
    report += [f"Note: {printable(note)}" for note in document["notes"]]
    return report


def _head(document: Document) -> List[str]:
    kinds = {"timer": "a timer of each namespace", "kthread": "kernel threads"}
    where = f"{document['host']}, kernel {document['kernel']}, {document['time']}"
    head = [f"host:        {printable(where)}"]
    kind = kinds.get(document["estimator"] or "")
    estimates = "estimates nothing" if kind is None else f"estimates in {kind}"
    cpus = document["possible_cpus"] or "unknown"
    head.append(f"ip_vs:       {printable(document['module'])}, {estimates}")
    head.append(f"CPUs:        {cpus} possible; each estimator is read on all of them")
    return head


def _namespaces(document: Document) -> List[str]:
    heading = ["NAMESPACE", "VALUE", "SERVICES", "REAL SERVERS", "ESTIMATORS", "EXPECTED / 2 s"]
    namespaces = sorted(document["namespaces"], key=lambda one: -(one["estimators"] or 0))
    rows = [heading]
    for one in namespaces[:_ROWS]:
        cells = [one["value"], one["services"], one["real_servers"], one["estimators"]]
        shown = ["-" if cell is None else printable(str(cell)) for cell in cells]
        rows.append([printable(one["name"]), *shown, _range(one["predicted_usec"])])
    shown = table(rows)
    if len(namespaces) > _ROWS:
        left = len(namespaces) - _ROWS
        shown.append(f"... and {left} more with fewer estimators; --json has all.")
    return shown


def _range(bounds: Optional[Sequence[int]]) -> str:
    return "-" if bounds is None else f"{_duration(bounds[0])} to {_duration(bounds[1])}"


def _results(phases: Sequence[Document]) -> List[str]:
    """Return a table with one column for each phase, so that they can be compared."""
    rows = [["", *(printable(phase["name"].upper()) for phase in phases)]]
    rows.append(["measured for", *(_duration(phase["duration_usec"]) for phase in phases)])
    if any(phase["passes"] for phase in phases):
        rows += _run_rows([phase["passes"] for phase in phases])
    names = {
        one["name"]: one.get("namespace") for phase in phases for one in phase["threads"] or ()
    }
    for name in sorted(names)[:_ROWS]:
        label = printable(f"{name} ({names[name]})" if names[name] else name)
        rows.append([label, *(_thread(phase["threads"], name) for phase in phases)])
    if any(phase["pings"] for phase in phases):
        rows += _ping_rows([phase["pings"] for phase in phases])
    return table(rows)


def _row(label: str, found: Parts, show: Callable[[Document], str]) -> List[str]:
    return [label, *("-" if one is None else show(one) for one in found)]


def _run_rows(found: Parts) -> Table:
    known = all(one.get("work_known", True) for one in found if one is not None)
    rows = [
        _row(
            "runs with work" if known else "ticks, work unknown",
            found,
            lambda one: str(one["count"]),
        ),
        _row("  median", found, functools.partial(_of_worst, "median_usec")),
        _row("  longest", found, functools.partial(_of_worst, "max_usec")),
        _row("ticks without work", found, lambda one: str(one["without_work"])),
    ]
    if any(one["lost"] for one in found if one is not None):
        rows.append(_row("lost samples", found, lambda one: str(one["lost"])))
    rows += _shares(found, "cpus", "cpu", "CPU ")
    return rows + _shares(found, "namespaces", "name", "")


def _of_worst(figure: str, found: Document) -> str:
    """Return a figure of the namespace whose runs take most time, which is named.

    All runs together have no figure of their own: see statistics.by_namespace().
    """
    namespaces = found["namespaces"]
    worst = found.get("worst") or (namespaces[0] if namespaces else found)
    shown = _duration(worst[figure])
    return f"{shown}, {_namespace(worst['name'])}" if worst.get("inode") else shown


def _namespace(name: Optional[str]) -> str:
    return "ended namespace" if name is None else printable(name)


def _shares(found: Parts, group: str, key: str, label: str) -> Table:
    """Return a row for each CPU, or for each namespace: number of runs, share, longest run."""
    keys = dict.fromkeys(part[key] for one in found if one is not None for part in one[group])
    rows = []
    for value in list(keys)[:_ROWS]:
        name = _namespace(None if value is None else f"{label}{value}")
        rows.append(_row(name, found, functools.partial(_share, group, key, value)))
    return rows


def _share(group: str, key: str, value: Any, found: Document) -> str:
    one = next((part for part in found[group] if part[key] == value), None)
    if one is None:
        return "-"
    median = f"median {_duration(one['median_usec'])}, " if group == "namespaces" else ""
    longest = _duration(one["max_usec"])
    return f"{one['count']}, {_percent(one['share'])}, {median}longest {longest}"


def _thread(threads: Optional[Sequence[Document]], name: str) -> str:
    one = next((thread for thread in threads or () if thread["name"] == name), None)
    return "-" if one is None else f"{_percent(one['share'])}, ran {_duration(one['run_usec'])}"


def _ping_rows(found: Parts) -> Table:
    rows = [_row("round trips", found, lambda one: f"{one['count']}, lost {one['lost']}")]
    for name, label in _PERCENTILES:
        rows.append(_row(f"  {label}", found, functools.partial(_percentile, f"{name}_usec")))
    for part, label in (("during_passes", "during runs"), ("apart_from_passes", "apart")):
        rows.append(_row(f"  {label}", found, functools.partial(_short, part)))
    return rows


def _percentile(name: str, found: Document) -> str:
    return _duration(found[name])


def _short(part: str, found: Document) -> str:
    one = found[part]
    if one["count"] == 0:
        return "none"
    return f"{one['count']}, longest {_duration(one['max_usec'])}"


def _charts(phases: Sequence[Document], title: str, series: str, plain: bool) -> List[str]:
    """Return one chart for each phase, all with the same scale."""
    drawn = [phase for phase in phases if phase["timeline_usec"][series] is not None]
    values = [value for phase in drawn for _, value in phase["timeline_usec"][series]]
    if not values:
        return []
    top, text = max(values), []
    for phase in drawn:
        length = phase["duration_usec"]
        points = phase["timeline_usec"][series]
        rows = chart([(at, value) for at, value in points], length, top, _SIZE, plain)
        labels = [_duration(top), *[""] * (len(rows) - 1)]
        text += ["", f"{title}, {printable(phase['name'])}"]
        text += [f"{label:>{_LABEL_WIDTH}} {row}" for label, row in zip(labels, rows)]
        foot = "0 s" + _duration(length).rjust(_SIZE.width - len("0 s"))
        text.append(" " * (_LABEL_WIDTH + 2) + foot)
    return text


def _sentence(text: str) -> str:
    shown = printable(text)
    return shown[:1].upper() + shown[1:]


def _duration(usec: Optional[int]) -> str:
    return "-" if usec is None else format_duration(usec * NS_PER_US)


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
