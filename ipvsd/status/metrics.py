"""Decides how metrics are written: Prometheus's text format, for node_exporter's textfiles.

Written here and not by prometheus_client, which is no part of EL8, and whose import alone costs
more time and memory than all of this daemon's own code.
"""

import collections
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import HOST_NAME, Namespace, State
from ipvsd.text import printable

PREFIX = "ipvs_estoff_guard"
_USEC_PER_S = 10**6
# So many namespaces have series of their own: those with most services and real servers.
NAMED_MAX = 50

Number = Union[int, float]
Labels = Mapping[str, str]

# Each state of a namespace as documents.state_word() has it, so that none is missing while it is 0.
_STATES = (
    "off",
    "on",
    *(state.value for state in State if state is not State.GONE),
)


class Running(NamedTuple):
    """Where the daemon runs."""

    kernel: str  # its release
    estimator: str  # timer, kthread, or none while ip_vs is not loaded


class Metric(NamedTuple):
    """One metric: name without the prefix, type, help, and its samples."""

    name: str
    kind: str
    text: str
    samples: Tuple[Tuple[Labels, Number], ...]


class Traffic(NamedTuple):
    """The live counters of a namespace with services, other than the host's."""

    namespace: Namespace
    estimators: int
    counters: Counters


def render(
    status: Dict[str, Any],
    running: Running,
    host: Optional[Counters],
    others: Iterable[Traffic] = (),
) -> str:
    """Return the text of the file for a status document; `host` has the host's live counters."""
    lines: List[str] = []
    for metric in (*_metrics(status, running, host), *_traffic(host, others)):
        name = f"{PREFIX}_{metric.name}"
        lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} {metric.kind}"]
        lines += [f"{name}{_shown(labels)} {number}" for labels, number in metric.samples]
    return "\n".join([*lines, *_reactions(status["counters"]["reactions"]), ""])


def _metrics(
    status: Dict[str, Any], running: Running, host: Optional[Counters]
) -> Iterator[Metric]:
    counters = status["counters"]
    info: Labels = {"version": status["guard"], "mode": status["mode"], "scope": status["scope"]}
    yield _gauge("build_info", "Version and mode of the guard.", 1, info)
    kernel: Labels = {
        "release": running.kernel,
        "estimator": running.estimator,
        "ip_vs": str(status["module"]),
    }
    yield _gauge("kernel_info", "Kernel, its kind of estimator, state of ip_vs.", 1, kernel)
    yield from _share(status.get("enforce_share"))
    states = dict.fromkeys(_STATES, 0)
    states.update(status["states"])
    yield _family("namespaces", "gauge", "Network namespaces by state.", "state", states)
    writes = counters["writes"]
    yield _family("writes_total", "counter", "Values set, by reason.", "reason", writes)
    yield _counter("write_failures_total", "Values that could not be set.", counters["failures"])
    yield _counter("module_loads_total", "Loads of ip_vs that were seen.", counters["loads"])
    yield _counter("events_lost_total", "Times that uevents were lost.", counters["events_lost"])
    text = "Estimation runs that can have been, although estimation should be off."
    yield _counter("estimation_passes_leaked_total", text, counters["passes_leaked"])
    exposed = counters["exposed_usec"] / _USEC_PER_S
    yield _counter("exposed_seconds_total", "Time at a value that was not as wanted.", exposed)
    sources = {name: int(state == "on") for name, state in status["sources"].items()}
    yield _family("source_up", "gauge", "Whether an event source is in use.", "source", sources)
    given_up = status["given_up"]
    text = "Scans for namespaces that hung and were given up, since the start of the daemon."
    yield _counter("scans_given_up_total", text, given_up["scans"])
    text = "Namespaces that are not visited, since the way into them hung."
    yield _gauge("namespaces_put_aside", text, given_up["namespaces"])
    yield from _chosen_on(status["chosen_on"])
    if status["canary"] is not None:
        yield from _canary(status["canary"])
    if status.get("cost") is not None:
        yield from _cost(status["cost"])
    if host is not None:
        yield from _host(host)


def _share(share: Optional[Dict[str, Any]]) -> Iterator[Metric]:
    if share is None:
        return
    yield _gauge("enforce_share_ratio", "Share of the hosts that enforces.", share["ratio"])
    if share["place"] is not None:
        text = "Place of this host among all; those below the share enforce."
        yield _gauge("enforce_place_ratio", text, share["place"])


def _canary(canary: Dict[str, Any]) -> Iterator[Metric]:
    fixed_usec = canary["fixed_usec"]
    text = "Whether the last throw-away namespace was set."
    yield _gauge("canary_success", text, int(fixed_usec is not None))
    if fixed_usec is not None:
        text = "Time from the birth of the last throw-away namespace to its value."
        yield _gauge("canary_seconds", text, fixed_usec / _USEC_PER_S)


def _cost(cost: Dict[str, Any]) -> Iterator[Metric]:
    size = cost["resident_bytes"]
    text = "Resident memory of the daemon without its child processes."
    yield _gauge("resident_memory_bytes", text, size)
    if cost["pss_bytes"] is not None:
        text = "Memory of the daemon and its child processes; what they share counts once (PSS)."
        yield _gauge("pss_bytes", text, cost["pss_bytes"])
    text = "CPU time of the daemon, as a share of one CPU, since its start."
    yield _gauge("cpu_ratio", text, cost["cpu_share"])
    if cost["cpu_share_last_minute"] is not None:
        text = "CPU time of the daemon, as a share of one CPU, in the last minute."
        yield _gauge("cpu_ratio_last_minute", text, cost["cpu_share_last_minute"])
    yield _gauge("open_descriptors", "Open file descriptors of the daemon.", cost["descriptors"])
    yield _gauge("threads", "Threads of the daemon.", cost["threads"])
    yield _gauge("processes", "Processes of the daemon.", cost["processes"])


def _chosen_on(chosen: List[Dict[str, Any]]) -> Iterator[Metric]:
    """Yield since when the configuration wants estimation on; without samples if it does not."""
    samples: Dict[Tuple[str, str], Tuple[Labels, Number]] = {}
    for one in chosen:
        if one["changed_usec"] is not None:
            labels = {"selector": one["selector"] or "", "file": one["file"]}
            shown = printable(labels["selector"]), printable(labels["file"])
            samples[shown] = (labels, one["changed_usec"] / _USEC_PER_S)
    text = "When the file was last changed that wants estimation on, in the namespaces selected."
    yield Metric("chosen_on_timestamp_seconds", "gauge", text, tuple(samples.values()))


def _traffic(host: Optional[Counters], others: Iterable[Traffic]) -> Iterator[Metric]:
    """Yield the live totals of the host and of the namespaces with most services."""
    ranked = sorted(others, key=lambda one: (-one.estimators, one.namespace.identity))
    shown = ranked[:NAMED_MAX]
    counters = {} if host is None else {HOST_NAME: host}
    names = collections.Counter(printable(one.namespace.name) for one in shown)
    for one in shown:
        name, inode = printable(one.namespace.name), one.namespace.inode
        # Two samples with the same labels would make node_exporter refuse the whole file.
        counters[name if names[name] == 1 else f"net:[{inode}] {name}"] = one.counters
    where = "by namespace, from the counters that never stand still."
    samples: List[Tuple[Labels, Number]] = [
        ({"namespace": name}, count.connections) for name, count in counters.items()
    ]
    text = f"IPVS connections {where}"
    yield Metric("namespace_connections_total", "counter", text, tuple(samples))
    for unit, at in (("packets", 1), ("bytes", 3)):
        samples = [
            ({"namespace": name, "direction": direction}, count[at + beyond])
            for name, count in counters.items()
            for beyond, direction in enumerate(("in", "out"))
        ]
        text = f"IPVS {unit} {where}"
        yield Metric(f"namespace_{unit}_total", "counter", text, tuple(samples))
    text = f"Namespaces with services beyond the {NAMED_MAX} whose counters are shown."
    yield _gauge("namespaces_without_counters", text, len(ranked) - len(shown))


def _host(host: Counters) -> Iterator[Metric]:
    where = "in the host's namespace, from the counters that never stand still."
    yield _counter("host_connections_total", f"IPVS connections {where}", host.connections)
    packets = {"in": host.packets_in, "out": host.packets_out}
    yield _family("host_packets_total", "counter", f"IPVS packets {where}", "direction", packets)
    size = {"in": host.bytes_in, "out": host.bytes_out}
    yield _family("host_bytes_total", "counter", f"IPVS bytes {where}", "direction", size)


def _reactions(reactions: Dict[str, Any]) -> List[str]:
    name = f"{PREFIX}_reaction_seconds"
    lines = [f"# HELP {name} Time from an event to the write.", f"# TYPE {name} histogram"]
    for bound_usec, count in reactions["buckets"]:
        lines.append(f'{name}_bucket{{le="{bound_usec / _USEC_PER_S:g}"}} {count}')
    lines.append(f'{name}_bucket{{le="+Inf"}} {reactions["count"]}')
    lines.append(f"{name}_sum {reactions['sum_usec'] / _USEC_PER_S}")
    return [*lines, f"{name}_count {reactions['count']}"]


def _gauge(name: str, text: str, number: Number, labels: Optional[Labels] = None) -> Metric:
    return Metric(name, "gauge", text, ((labels or {}, number),))


def _counter(name: str, text: str, number: Number) -> Metric:
    return Metric(name, "counter", text, (({}, number),))


def _family(name: str, kind: str, text: str, label: str, numbers: Mapping[str, Number]) -> Metric:
    samples = tuple(({label: value}, number) for value, number in numbers.items())
    return Metric(name, kind, text, samples)


def _shown(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return printable(value).replace("\\", r"\\").replace('"', r"\"")
