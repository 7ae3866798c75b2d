"""Has the estimator run once, so that the totals of services that stand still are fresh again.

Only where a timer estimates: it runs every 2 s (exposure.PERIOD_NS), so one run begins within 2 s
after estimation was switched on. Threads are stopped by switching it off, which can deadlock (see
decide.hold_until()). While estimation is on, a drop-in says so, which counts as long as this
process holds a lock, and for LIMIT_NS at most: whatever ends it, the daemon sets the value back.
"""

import functools
import os
import time
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence

from ipvsd.config import files as config_files
from ipvsd.config.files import Places
from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import AllNamespaces, check_all
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.enforce.exposure import PERIOD_NS
from ipvsd.enforce.prediction import predicted_ns
from ipvsd.kernel import estimation_runs, tracefs
from ipvsd.kernel.estimation_runs import RunProbes
from ipvsd.measure import compare, session
from ipvsd.measure.cleanup_process import CleanupProcess
from ipvsd.measure.compare import Switch
from ipvsd.measure.sampler import open_probes
from ipvsd.measure.statistics import ServiceCount
from ipvsd.model import NS_PER_MS, NS_PER_S, NS_PER_US, Exit, GuardError, Identity, Mode
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.text import format_duration, plural, printable

OPTION = "--refresh"
# Estimation is on for no longer, whatever happens to this process.
LIMIT_NS = 15 * NS_PER_S
# How long setting the values may take, in thousands of namespaces.
SET_LIMIT_NS = 5 * NS_PER_S
# The timer is late where its CPU is busy.
_LATE_NS = 500 * NS_PER_MS
_READ_INTERVAL_NS = 20 * NS_PER_MS

_THREADS = (
    "--refresh: ip_vs of this kernel estimates in threads, and switching them off and on can hang "
    "IPVS; to keep the totals fresh, let them run where they do no harm: strategy = steer, see "
    "ipvs-estoff-guard.conf(5)"
)
_OBSERVE = (
    "--refresh: the guard only observes on this host, so that nothing is switched; `ipvsd "
    "estimation on` switches estimation on for good"
)


class Refreshed(NamedTuple):
    """What a refresh did."""

    namespaces: int
    runs: Optional[int]  # that were seen; None where runs cannot be told apart
    longest_ns: Optional[int]
    unseen: int  # namespaces in which no run was seen
    left: str  # what had to stay behind in tracefs, empty for nothing


def refresh(
    root: str,
    places: Places,
    apply_configuration: Callable[[], AllNamespaces],
    confirm: Callable[[str], None],
) -> Refreshed:
    """Switch estimation on, await one run in each namespace, and switch it off.

    `apply_configuration` returns after SET_LIMIT_NS at the latest. `confirm` takes a sentence with
    the cost, and raises GuardError where the user does not agree. Raises GuardError where the
    totals cannot be refreshed, and SystemExit when a signal ends the wait; estimation is off again
    then.
    """
    policy = config_files.load(places).policy
    there = session.setup(root, policy, ())
    if there.kthreads:
        raise GuardError(_THREADS, Exit.UNSUPPORTED)
    if policy.mode is Mode.OBSERVE:
        raise GuardError(_OBSERVE, Exit.NOT_AS_WANTED)
    lock = compare.begin(places.runtime, apply_configuration, OPTION)
    try:
        own = about(policy, RUN_ESTIMATION)
        now = check_all(Enforcer(root), own, root, dry=True)
        chosen = compare.switch(str(places.runtime), now, (), apply_configuration, OPTION)
        confirm(_cost(chosen, there.counts, there.possible_cpus))
        # After the question, whose answer may take minutes.
        chosen = chosen._replace(until_ns=int(time.time() * NS_PER_S) + LIMIT_NS)
        return _run_once(root, chosen)
    finally:
        os.close(lock)


def document(done: Refreshed) -> Dict[str, Any]:
    """Return what a refresh did as plain data for JSON."""
    longest_ns = done.longest_ns
    return {
        "namespaces": done.namespaces,
        "runs": done.runs,
        "longest_usec": None if longest_ns is None else longest_ns // NS_PER_US,
        "unseen": done.unseen,
    }


def sentence(done: Refreshed) -> str:
    """Return what a refresh did, in words."""
    text = f"refreshed: estimation was on in {plural(done.namespaces, 'namespace')}"
    if done.runs is None:
        return f"{text}, longer than its timer's period; no run was seen, as there are no probes"
    longest = f", the longest for {format_duration(done.longest_ns)}" if done.longest_ns else ""
    return f"{text}; {plural(done.runs, 'estimation run')} did work{longest}"


def _cost(chosen: Switch, counts: Sequence[ServiceCount], cpus: Optional[int]) -> str:
    """Return what a refresh does and is expected to cost, in words."""
    known = [
        one
        for one in counts
        if one.namespace.identity in chosen.namespaces and one.estimators is not None
    ]
    costliest = max(known, key=lambda one: one.estimators or 0, default=None)
    where = plural(len(chosen.namespaces), "namespace")
    text = (
        f"This switches estimation on in {where} for some 2 s, for one run or two, and off again."
    )
    if costliest is None or cpus is None:
        return f"{text} How long a run holds a CPU is unknown."
    least, most = map(format_duration, predicted_ns(costliest.estimators or 0, cpus))
    return (
        f"{text} A run is expected to hold a CPU for {least} to {most} in "
        f"{printable(str(costliest.namespace))}, which has {costliest.estimators} estimators."
    )


def _run_once(root: str, chosen: Switch) -> Refreshed:
    cleanup = CleanupProcess(
        functools.partial(compare.restore, chosen),
        functools.partial(estimation_runs.remove, root, os.getpid()),
    )
    left = ""
    try:
        probes, _ = open_probes(root, kthreads=False)
        loop = Loop.of_command()
        try:
            cleanup.arm()
            try:
                seen = _await_runs(loop, probes, compare.switch_on(chosen))
            finally:
                restored = cleanup.restore()
        finally:
            left = probes.close() if probes is not None else ""
            loop.close()
    finally:
        cleanup.close()
    if not restored:
        message = "--refresh: estimation was not switched off again; see the message above"
        raise GuardError(message, Exit.NOT_AS_WANTED)
    return seen._replace(left=tracefs.left_behind(left) if left else "")


def _await_runs(
    loop: Loop, probes: Optional[RunProbes], namespaces: Iterable[Identity]
) -> Refreshed:
    """Wait for the end of one run in each namespace, by the probes or else by the clock."""
    began_ns = monotonic_ns()
    until_ns = began_ns + PERIOD_NS + _LATE_NS
    missing = {inode for _, inode in namespaces}
    count = len(missing)
    durations: List[int] = []
    detailed = probes is not None and probes.detailed
    while monotonic_ns() < until_ns and (missing or not detailed):
        loop.wait_on(min(until_ns, monotonic_ns() + _READ_INTERVAL_NS))
        for run in probes.take() if probes is not None else ():
            if detailed and run.working and run.start_ns >= began_ns and run.inode is not None:
                missing.discard(run.inode)
                durations.append(run.duration_ns)
    longest_ns = max(durations, default=None)
    runs, unseen = (len(durations), len(missing)) if detailed else (None, 0)
    return Refreshed(count, runs, longest_ns, unseen, "")
