"""Computes statistics of what was measured, which is plain data (pure)."""

from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.model import NS_PER_MS, Namespace

# A round trip is slow when it takes this many times the median, and this long at least: below a
# millisecond, sleeping CPUs and the scheduler alone make such differences.
SLOW_FACTOR = 5
SLOW_MIN_NS = NS_PER_MS


class Probe(NamedTuple):
    """One round trip."""

    sent_ns: int  # monotonic
    rtt_ns: int


class Pings(NamedTuple):
    """All round trips of a phase."""

    probes: Tuple[Probe, ...]
    sent: int
    own_address: Optional[bool] = None  # the address that answers is one of this host
    discarded: int = 0  # answered, but the clock that measured them was stepped meanwhile

    @property
    def lost(self) -> int:
        """Number of probes that were not answered."""
        return max(0, self.sent - len(self.probes) - self.discarded)


class ServiceCount(NamedTuple):
    """The services and real servers of one namespace; None where unknown."""

    namespace: Namespace
    value: Optional[str] = None  # of run_estimation
    services: Optional[int] = None
    real_servers: Optional[int] = None

    @property
    def estimators(self) -> Optional[int]:
        """Number of estimators: one for each service, each real server, and the namespace."""
        if self.services is None or self.real_servers is None:
            return None
        return 1 + self.services + self.real_servers


class Phase(NamedTuple):
    """What was measured within a time; None for what was not or could not be measured."""

    name: str
    began_ns: int  # monotonic
    ended_ns: int
    runs: Optional[Tuple[EstimationRun, ...]] = None
    lost: int = 0  # hits of probes that are missing from the samples
    threads: Optional[Dict[str, int]] = None  # nanoseconds run, by the thread's name
    pings: Optional[Pings] = None
    cpu_busy: Optional[Dict[int, float]] = None  # share of the time, by CPU
    others_ran: bool = False  # namespaces that were not selected had runs, which are not in `runs`

    @property
    def working_runs(self) -> Tuple[EstimationRun, ...]:
        """The estimation runs that did work, and those of which this is unknown."""
        return tuple(sample for sample in self.runs or () if sample.working is not False)

    @property
    def work_known(self) -> bool:
        """Whether those are known to have done work; a kernel thread does some in each run."""
        return self.threads is not None or all(run.working for run in self.working_runs)


class Spread(NamedTuple):
    """The distribution of durations: nearest-rank percentiles, in nanoseconds."""

    total: int  # number of durations
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int


def spread(durations_ns: Iterable[int]) -> Optional[Spread]:
    """Return the distribution of durations, None when there are none."""
    ranked = sorted(durations_ns)
    if not ranked:
        return None
    ranks = [_ranked(ranked, permille) for permille in (500, 900, 990, 999, 1000)]
    return Spread(len(ranked), *ranks)


def by_namespace(
    runs: Iterable[EstimationRun],
) -> List[Tuple[Optional[int], List[EstimationRun]]]:
    """Return the runs of each namespace, by inode, None for those of which it is unknown.

    The namespace whose runs take most time comes first. Runs of several namespaces have no median
    in common: where one has all the services, it would be that of the empty ones.
    """
    found: Dict[Optional[int], List[EstimationRun]] = {}
    for run in runs:
        found.setdefault(run.inode, []).append(run)
    return sorted(found.items(), key=lambda item: -sum(run.duration_ns for run in item[1]))


def _ranked(ranked: Sequence[int], permille: int) -> int:
    # The smallest value that is not less than this share of all. Computed with whole numbers:
    # rounding a fraction would make 999 of 1000 one rank too high.
    return ranked[max(1, -(-len(ranked) * permille // 1000)) - 1]


def slow_ns(pings: Pings) -> int:
    """Return the duration above which a round trip counts as slow."""
    found = spread(probe.rtt_ns for probe in pings.probes)
    return SLOW_MIN_NS if found is None else max(SLOW_MIN_NS, SLOW_FACTOR * found.p50_ns)


def apart(pings: Pings, working_runs: Sequence[EstimationRun]) -> Tuple[List[Probe], List[Probe]]:
    """Return the probes that overlap an estimation run, and the others."""
    ordered = sorted(working_runs)
    during: List[Probe] = []
    others: List[Probe] = []
    at = 0
    for probe in sorted(pings.probes):
        # A run that had ended when this probe was sent has also ended for all later probes. Runs
        # on several CPUs may overlap, so only the first ones of the list are skipped.
        while at < len(ordered) and _end(ordered[at]) < probe.sent_ns:
            at += 1
        (during if _overlaps(probe, ordered, at) else others).append(probe)
    return during, others


def _overlaps(probe: Probe, ordered: Sequence[EstimationRun], at: int) -> bool:
    back_ns = probe.sent_ns + probe.rtt_ns
    while at < len(ordered) and ordered[at].start_ns <= back_ns:
        if _end(ordered[at]) >= probe.sent_ns:
            return True
        at += 1
    return False


def _end(sample: EstimationRun) -> int:
    return sample.start_ns + sample.duration_ns


def peaks(points: Iterable[Tuple[int, int]], length_ns: int, count: int) -> List[Tuple[int, int]]:
    """Return the point (time, duration) with the largest duration in each of `count` slices.

    The slices divide `length_ns`; a slice without points is left out.
    """
    highest: Dict[int, Tuple[int, int]] = {}
    for at_ns, duration_ns in points:
        slot = min(count - 1, max(0, at_ns) * count // max(1, length_ns))
        if slot not in highest or duration_ns > highest[slot][1]:
            highest[slot] = (at_ns, duration_ns)
    return [highest[slot] for slot in sorted(highest)]
