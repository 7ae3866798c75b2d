"""Builds and parses the document of a measurement, for --json, --save and --show (pure)."""

from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.enforce.prediction import predicted_ns
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure.conclusions import conclude
from ipvsd.measure.statistics import (
    Phase,
    Pings,
    ServiceCount,
    apart,
    by_namespace,
    peaks,
    slow_ns,
    spread,
)
from ipvsd.model import HOST_NAME, NS_PER_US
from ipvsd.system import json_shape
from ipvsd.system.json_shape import Maybe, Newer

# Raised when a field changes its meaning or is removed, not when one is added.
VERSION = 1
KIND = "ipvsd measure"
RANKS = ("p50", "p90", "p99", "p999", "max")

_TRIPS = {"count": int, **{f"{name}_usec": Maybe(int) for name in RANKS}}
_TIMES = {
    "count": int,
    "median_usec": Maybe(int),
    "max_usec": Maybe(int),
    "sum_usec": int,
    "share": float,
}
_OF_NAMESPACE = {**_TIMES, "name": Maybe(str), "inode": Maybe(int)}
_PASSES = {
    **_TIMES,
    "without_work": int,
    "work_known": Newer(bool),
    "lost": int,
    "cpus": [{**_TIMES, "cpu": int}],
    "namespaces": [_OF_NAMESPACE],
    "worst": Newer(Maybe(_OF_NAMESPACE)),
}
_PINGS = {
    **_TRIPS,
    "sent": int,
    "lost": int,
    "slow_usec": int,
    "own_address": Newer(Maybe(bool)),
    "discarded": Newer(int),
    "during_passes": _TRIPS,
    "apart_from_passes": _TRIPS,
}
_PHASE = {
    "name": str,
    "monotonic_usec": int,
    "duration_usec": int,
    "passes": Maybe(_PASSES),
    "threads": Maybe(
        [{"name": str, "namespace": Newer(Maybe(str)), "run_usec": int, "share": float}]
    ),
    "pings": Maybe(_PINGS),
    "cpu_busy": Newer(Maybe([{"cpu": int, "share": float}])),
    "timeline_usec": {"passes": Maybe([(int, int)]), "pings": Maybe([(int, int)])},
}
_NAMESPACE = {
    "name": str,
    "device": int,
    "inode": int,
    "value": Maybe(str),
    "services": Maybe(int),
    "real_servers": Maybe(int),
    "estimators": Maybe(int),
    "predicted_usec": Maybe((int, int)),
}
_DOCUMENT = {
    "host": str,
    "kernel": str,
    "time": str,
    "module": str,
    "estimator": Maybe(str),
    "possible_cpus": Maybe(int),
    "ping_host": Maybe(str),
    "notes": [str],
    "namespaces": [_NAMESPACE],
    "phases": [_PHASE],
    "verdict": [str],
}

# The limit for each timeline: enough points for a plot, and few enough for a file.
_POINTS_MAX = 1000


class Host(NamedTuple):
    """Where and when the measurement was made, and what was not possible."""

    node: str
    kernel: str
    time: str
    module: str
    estimator: Optional[str]  # timer, kthread, None without ip_vs
    possible_cpus: Optional[int]
    ping_host: Optional[str]
    notes: Tuple[str, ...]  # what could not be measured, and why
    own_threads: str = ""  # what the names of the host's threads begin with; empty if unknown


def document(host: Host, counts: Sequence[ServiceCount], phases: Sequence[Phase]) -> Dict[str, Any]:
    """Return the whole measurement as plain data."""
    names = {one.namespace.inode: one.namespace.name for one in counts}
    return {
        "version": VERSION,
        "kind": KIND,
        "host": host.node,
        "kernel": host.kernel,
        "time": host.time,
        "module": host.module,
        "estimator": host.estimator,
        "possible_cpus": host.possible_cpus,
        "ping_host": host.ping_host,
        "notes": list(host.notes),
        "namespaces": [_service_count(one, host.possible_cpus) for one in counts],
        "phases": [_phase(phase, names, host.own_threads) for phase in phases],
        "verdict": conclude(phases, names),
    }


def parse(text: str) -> Dict[str, Any]:
    """Return a saved document. Raises ValueError, with a sentence, if the text is none."""
    found = json_shape.parse(text)
    if found.get("kind") != KIND:
        raise ValueError("was not written by `ipvsd measure --save`")
    if found.get("version") != VERSION:
        raise ValueError(f"has version {found.get('version')!r}; this ipvsd reads {VERSION}")
    json_shape.check(found, _DOCUMENT)
    return found


def _service_count(one: ServiceCount, cpus: Optional[int]) -> Dict[str, Any]:
    expected = None
    if one.estimators is not None and cpus is not None:
        expected = [_usec(bound) for bound in predicted_ns(one.estimators, cpus)]
    return {
        "name": one.namespace.name,
        "device": one.namespace.device,
        "inode": one.namespace.inode,
        "value": one.value,
        "services": one.services,
        "real_servers": one.real_servers,
        "estimators": one.estimators,
        "predicted_usec": expected,
    }


def _phase(phase: Phase, names: Dict[int, str], own_threads: str) -> Dict[str, Any]:
    length_ns = phase.ended_ns - phase.began_ns
    timeline: Dict[str, Any] = {"passes": None, "pings": None}
    if phase.runs is not None:
        points = [(s.start_ns - phase.began_ns, s.duration_ns) for s in phase.working_runs]
        timeline["passes"] = _points(points, length_ns)
    if phase.pings is not None:
        points = [(p.sent_ns - phase.began_ns, p.rtt_ns) for p in phase.pings.probes]
        timeline["pings"] = _points(points, length_ns)
    return {
        "name": phase.name,
        "monotonic_usec": _usec(phase.began_ns),
        "duration_usec": _usec(length_ns),
        "passes": None if phase.runs is None else _runs(phase, length_ns, names),
        "threads": _threads(phase, length_ns, own_threads),
        "pings": None if phase.pings is None else _pings(phase.pings, phase.working_runs),
        "cpu_busy": _cpu_busy(phase),
        "timeline_usec": timeline,
    }


def _points(points: Iterable[Tuple[int, int]], length_ns: int) -> List[List[int]]:
    kept = peaks(points, length_ns, _POINTS_MAX)
    return [[_usec(at_ns), _usec(duration_ns)] for at_ns, duration_ns in kept]


def _runs(phase: Phase, length_ns: int, names: Dict[int, str]) -> Dict[str, Any]:
    working = phase.working_runs
    by_cpu: Dict[int, List[EstimationRun]] = {}
    for sample in working:
        by_cpu.setdefault(sample.cpu, []).append(sample)
    namespaces = [
        {"name": names.get(inode or 0), "inode": inode, **_durations(runs, length_ns)}
        for inode, runs in by_namespace(working)
    ]
    return {
        **_durations(working, length_ns),
        "without_work": len(phase.runs or ()) - len(working),
        "work_known": phase.work_known,
        "lost": phase.lost,
        "cpus": [{"cpu": cpu, **_durations(by_cpu[cpu], length_ns)} for cpu in sorted(by_cpu)],
        "namespaces": [one for one in namespaces if one["inode"] is not None],
        "worst": namespaces[0] if namespaces else None,
    }


def _durations(runs: Sequence[EstimationRun], length_ns: int) -> Dict[str, Any]:
    found = spread(sample.duration_ns for sample in runs)
    sum_ns = sum(sample.duration_ns for sample in runs)
    return {
        "count": len(runs),
        "median_usec": None if found is None else _usec(found.p50_ns),
        "max_usec": None if found is None else _usec(found.max_ns),
        "sum_usec": _usec(sum_ns),
        "share": round(sum_ns / max(1, length_ns), 6),
    }


def _threads(phase: Phase, length_ns: int, own_threads: str) -> Optional[List[Dict[str, Any]]]:
    if phase.threads is None:
        return None
    return [
        {
            "name": name,
            "namespace": HOST_NAME if own_threads and name.startswith(own_threads) else None,
            "run_usec": _usec(run_ns),
            "share": round(run_ns / max(1, length_ns), 6),
        }
        for name, run_ns in sorted(phase.threads.items())
    ]


def _cpu_busy(phase: Phase) -> Optional[List[Dict[str, Any]]]:
    if phase.cpu_busy is None:
        return None
    return [{"cpu": cpu, "share": round(phase.cpu_busy[cpu], 3)} for cpu in sorted(phase.cpu_busy)]


def _pings(pings: Pings, working_runs: Sequence[EstimationRun]) -> Dict[str, Any]:
    during, others = apart(pings, working_runs)
    return {
        "sent": pings.sent,
        "lost": pings.lost,
        "discarded": pings.discarded,
        **_round_trips(probe.rtt_ns for probe in pings.probes),
        "slow_usec": _usec(slow_ns(pings)),
        "own_address": pings.own_address,
        "during_passes": _round_trips(probe.rtt_ns for probe in during),
        "apart_from_passes": _round_trips(probe.rtt_ns for probe in others),
    }


def _round_trips(rtts_ns: Iterable[int]) -> Dict[str, Any]:
    found = spread(rtts_ns)
    if found is None:
        return {"count": 0, **{f"{name}_usec": None for name in RANKS}}
    total, *ranks = found
    return {"count": total, **{f"{name}_usec": _usec(ns) for name, ns in zip(RANKS, ranks)}}


def _usec(ns: int) -> int:
    return ns // NS_PER_US
