"""Watches the estimator for two periods: counters before and after, and the runs in between."""

from typing import Dict, Optional, Tuple

from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.enforce.all_off import AllOff
from ipvsd.kernel import estimation_kthreads, ipvs, tracefs
from ipvsd.kernel.estimation_runs import RunProbes
from ipvsd.kernel.ipvs_counters import Readout
from ipvsd.model import Identity, Policy
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.verify import judge
from ipvsd.verify.judge import Watch

Readouts = Dict[Identity, Optional[Readout]]


def watch(policy: Policy, root: str) -> Tuple[Readouts, Readouts, Watch]:
    """Return the counters before and after the watch, and what the estimator did meanwhile.

    A signal that ends the process raises SystemExit, after the probes have been removed.
    """
    threaded = ipvs.has_kthreads(root)
    reader = NamespaceReader(policy, root, lambda: ipvs.counters(root))
    runs, why, unseen = None, "", 0
    all_off: Optional[AllOff] = None
    loop = Loop.of_command()
    try:
        try:
            runs = RunProbes(root, threaded)
        except OSError as error:
            why = f"{error.filename or 'tracefs'}: {error.strerror}"
        if runs is not None and not (threaded or runs.detailed):
            all_off = AllOff(policy, root)
            all_off.begin()
        before, began_ns = _readouts(reader), monotonic_ns()
        counted, cpus = _count(loop, runs, began_ns + judge.WATCH_NS)
        elapsed_ns = monotonic_ns() - began_ns
        after = _readouts(reader)
        if runs is not None and all_off is not None:
            all_off.end(runs.take_timers())
            unseen = all_off.unseen
            if all_off.proven:
                counted, cpus = {}, {}
            else:
                counted, why = None, "ip_vs has no BTF: a tick without work looks like a run"
        defect = runs.defect() if runs is not None else None
        if defect is not None:
            counted, cpus, why = None, {}, defect
    finally:
        reader.close()
        if all_off is not None:
            all_off.close()
        left = runs.close() if runs is not None else ""
        loop.close()
    tasks = len(estimation_kthreads.names(root)) if threaded else None
    left = tracefs.left_behind(left) if left else ""
    return before, after, Watch(elapsed_ns, tasks, counted, why, left, cpus, unseen)


def _readouts(reader: NamespaceReader[Optional[Readout]]) -> Readouts:
    return {one.identity: readout for one, readout in reader.read()}


def _count(
    loop: Loop, runs: Optional[RunProbes], until_ns: int
) -> Tuple[Optional[Dict[Optional[int], int]], Dict[int, int]]:
    """Return how many estimation runs did work until a moment, by namespace and by CPU."""
    counted: Dict[Optional[int], int] = {}
    cpus: Dict[int, int] = {}
    if runs is not None:
        loop.watch(runs.fileno())
    while monotonic_ns() < until_ns:
        loop.wait_on(until_ns)
        for sample in runs.take() if runs is not None else []:
            # A kernel thread does work in each of its runs, so None counts too.
            if sample.working is not False:
                counted[sample.inode] = counted.get(sample.inode, 0) + 1
                cpus[sample.cpu] = cpus.get(sample.cpu, 0) + 1
    return counted if runs is not None else None, cpus
