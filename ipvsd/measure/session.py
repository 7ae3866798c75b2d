"""Runs a whole measurement: counts services, sets the probes and measures each phase."""

import functools
import os
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config.policy import matches
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.enforce.all_off import AllOff
from ipvsd.enforce.decide import HOLD_NS
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel import estimation_kthreads, estimation_runs, ipvs, module, tracefs
from ipvsd.kernel.ipvs import Table
from ipvsd.measure import compare
from ipvsd.measure.cleanup_process import CleanupProcess
from ipvsd.measure.compare import Switch
from ipvsd.measure.measurement import Host
from ipvsd.measure.sampler import Sampler, Task, open_probes
from ipvsd.measure.statistics import Phase, ServiceCount
from ipvsd.model import Exit, GuardError, Identity, Module, Namespace, Policy, Selector
from ipvsd.system.terminal import Progress
from ipvsd.text import iso_time, printable

Counted = Tuple[str, Optional[Table]]

_AS_FOUND = "as found"
_NO_DETAIL = (
    "estimation runs: this ip_vs does not show which of its ticks do any work, nor in which "
    "namespace (it has no BTF, or the kernel is older than Linux 4.20); while estimation is off in "
    "every namespace, ticks are known to do none"
)
_NO_SPLIT = (
    "estimation runs: kernel threads do not show in which namespace a run is; the runs of all "
    "namespaces are measured"
)


class Setup(NamedTuple):
    """What is to be measured: the state of this host before the measurement."""

    root: str
    module: Module
    kthreads: bool
    possible_cpus: Optional[int]
    counts: Tuple[ServiceCount, ...]
    selected: bool  # the user named some namespaces
    policy: Policy


class Result(NamedTuple):
    """What was measured, what could not be measured and why, and the exit code."""

    phases: Tuple[Phase, ...] = ()
    notes: Tuple[str, ...] = ()
    code: Exit = Exit.AS_WANTED


def setup(root: str, policy: Policy, selectors: Sequence[Selector]) -> Setup:
    """Return what is to be measured: services and real servers in namespaces not excluded.

    Raises GuardError where the selectors match no namespace.
    """
    counts = count(root, policy, selectors)
    if not counts:
        where = ", ".join(printable(str(one)) for one in selectors)
        message = f"{where}: no namespace matches now; `ipvsd status --all` lists their names"
        raise GuardError(message, Exit.USAGE)
    return Setup(
        root,
        module.state(root),
        ipvs.has_kthreads(root),
        ipvs.possible_cpus(root),
        tuple(counts),
        bool(selectors),
        policy,
    )


def count(root: str, policy: Policy, selectors: Sequence[Selector]) -> List[ServiceCount]:
    """Return the services and real servers of each namespace, the host's first."""
    reader = NamespaceReader(policy, root, functools.partial(_count, Enforcer(root), root))
    try:
        found = reader.read()
    finally:
        reader.close()
    counts = [_service_count(namespace, counted) for namespace, counted in found]
    return [one for one in counts if _is_selected(selectors, one.namespace)]


def measure(
    there: Setup,
    task: Task,
    progress: Progress,
    chosen: Optional[Switch] = None,
    estimators: Optional[Callable[[], Dict[Identity, Optional[int]]]] = None,
) -> Result:
    """Measure one phase, or three if `chosen` says what to switch for a comparison.

    Whatever ends this process, its probes are removed and the configuration's value is restored.
    Raises GuardError, and SystemExit when a signal ends the measurement.
    """
    if not there.module.loaded:
        return _without_ip_vs(there, task, progress)
    cleanup = CleanupProcess(
        functools.partial(compare.restore, chosen) if chosen is not None else lambda: True,
        functools.partial(estimation_runs.remove, there.root, os.getpid()),
        HOLD_NS if there.kthreads else 0,
    )
    left = ""
    all_off: Optional[AllOff] = None
    try:
        probes, why = open_probes(there.root, there.kthreads)
        if probes is not None and not (probes.detailed or there.kthreads):
            all_off = AllOff(there.policy, there.root)
        sampler = Sampler(there.root, probes, progress, all_off)
        try:
            if chosen is None:
                phases: Tuple[Phase, ...] = (sampler.run(_AS_FOUND, task),)
            else:
                if there.kthreads and estimators is not None:
                    compare.await_quiet(sampler, estimators)
                phases = compare.compare(sampler, cleanup, chosen, task)
        finally:
            left = sampler.close()
    finally:
        cleanup.close()
        if all_off is not None:
            all_off.close()
    why = why or sampler.why_blind
    notes = _notes(there, why, detailed=probes is not None and probes.detailed)
    notes += (tracefs.left_behind(left),) if left else ()
    phases = tuple(_of_selected(phase, there) for phase in phases)
    return Result(phases, notes, Exit.CANNOT_TELL if why else Exit.AS_WANTED)


def host(there: Setup, ping_host: Optional[str], notes: Sequence[str]) -> Host:
    """Return where and when the measurement is made; `notes` say what was not possible."""
    system = os.uname()
    estimator = "kthread" if there.kthreads else "timer"
    return Host(
        system.nodename,
        system.release,
        iso_time(int(time.time() * 1e9)),
        there.module.value,
        estimator if there.module.loaded else None,
        there.possible_cpus,
        ping_host,
        tuple(notes),
        estimation_kthreads.own_prefix(there.root),
    )


def _without_ip_vs(there: Setup, task: Task, progress: Progress) -> Result:
    note = f"ip_vs is {there.module.value}: nothing is estimated"
    if task.ping_host is None:
        return Result((), (note,))
    sampler = Sampler(there.root, None, progress)
    try:
        phase = sampler.run(_AS_FOUND, task)
    finally:
        sampler.close()
    return Result((phase._replace(runs=()),), (note,))


def _is_selected(selectors: Sequence[Selector], namespace: Namespace) -> bool:
    return not selectors or any(matches(one, namespace) for one in selectors)


def _count(guard: Enforcer, root: str) -> Counted:
    return guard.read(RUN_ESTIMATION).value, ipvs.table(root)


def _service_count(namespace: Namespace, counted: Optional[Counted]) -> ServiceCount:
    value, table = counted if counted is not None else ("", None)
    if table is None:
        return ServiceCount(namespace, value or None)
    return ServiceCount(namespace, value or None, table.services, table.real_servers)


def _notes(there: Setup, why: str, detailed: bool) -> Tuple[str, ...]:
    if why:
        return (f"estimation runs: cannot be measured, since kprobes are unavailable ({why})",)
    if there.kthreads:
        return (_NO_SPLIT,) if there.selected else ()
    return () if detailed else (_NO_DETAIL,)


def _of_selected(phase: Phase, there: Setup) -> Phase:
    """Return a phase without the runs of namespaces that were not selected, if runs show these."""
    if not there.selected or phase.runs is None:
        return phase
    inodes = {one.namespace.inode for one in there.counts}
    kept = tuple(sample for sample in phase.runs if sample.inode in (None, *inodes))
    chosen = phase._replace(runs=kept)
    return chosen._replace(others_ran=len(chosen.working_runs) < len(phase.working_runs))
