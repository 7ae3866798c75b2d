"""Concludes from measurements, in sentences that each name their evidence (pure)."""

from typing import List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.measure.statistics import Phase, Pings, apart, by_namespace, slow_ns, spread
from ipvsd.text import format_duration, plural

# If this share of the slow round trips overlaps an estimation run, estimation is the likely cause.
_CAUSE_PERCENT = 50
# By how much the tail has to improve for a conclusion: less is not worth a decision.
_WORTH_PERCENT = 20
# A CPU that does other work for this share of the time makes what arrives wait for it.
_BUSY_PERCENT = 80

NEXT = (
    "Look next at: CPU time taken by other tasks, interrupts or the hypervisor (mpstat -P ALL 1: "
    "%soft, %irq, %steal), packets that waited or were dropped (/proc/net/softnet_stat, ethtool "
    "-S), what keeps CPUs from running tasks (perf sched latency, or osnoise in tracefs), sleep "
    "states and frequency of CPUs (turbostat), and the path and the other end (mtr)."
)


_NO_PROOF = (
    "the address is one of this host: its packets cross no network, and one CPU sends and receives "
    "them, so that round trips to it cannot show that estimation is harmless; measure with another "
    "host, or from one"
)

Names = Mapping[int, str]  # of namespaces, by inode


class _Slow(NamedTuple):
    """The slow round trips of a phase, and how many of them overlap an estimation run."""

    threshold_ns: int
    total: int
    during: int

    @property
    def explained(self) -> bool:
        """Whether estimation is the likely cause of most."""
        return self.during * 100 >= self.total * _CAUSE_PERCENT


def conclude(phases: Sequence[Phase], names: Names) -> List[str]:
    """Return the conclusions from one phase, or from the three phases of a comparison."""
    sentences = []
    for phase in phases:
        prefix = f"{phase.name}: " if len(phases) > 1 else ""
        found = _runs(phase, names) + _round_trips(phase) + _load(phase) + _clock(phase)
        sentences += [prefix + sentence for sentence in found]
    if len(phases) > 1:
        sentences += _comparison(phases)
    if any(_is_own(phase) for phase in phases):
        sentences.append(f"{_NO_PROOF}.")
    elif any(_is_unexplained(phase) for phase in phases):
        sentences.append(NEXT)
    return sentences


def _runs(phase: Phase, names: Names) -> List[str]:
    if phase.runs is None:
        return []
    if not phase.working_runs:
        return [_no_runs(phase)]
    (inode, worst), *others = by_namespace(phase.working_runs)
    found = spread(run.duration_ns for run in worst)
    assert found is not None
    longest = max(worst, key=lambda run: run.duration_ns)
    # A timer keeps its CPU from all tasks; a thread shares it as any other task does.
    did = "estimation held a CPU" if phase.threads is None else "estimation ran"
    if not phase.work_known:
        did = "estimation ticked (whether it did any work cannot be told)"
    text = (
        f"{did} {plural(found.total, 'time')}, for {format_duration(found.p50_ns)} "
        f"in the median and {format_duration(found.max_ns)} at most (CPU {longest.cpu})"
    )
    text += f", {_where(inode, names)}"
    if others:
        others_ns = max(run.duration_ns for _, runs in others for run in runs)
        count = plural(len(others), "other namespace")
        text += f"; in {count} for {format_duration(others_ns)} at most"
    return [f"{text}."]


def _no_runs(phase: Phase) -> str:
    if phase.lost:
        lost = plural(phase.lost, "sample")
        return f"whether estimation runs did any work is unknown, since {lost} were lost."
    return "no estimation run did any work."


def _where(inode: Optional[int], names: Names) -> str:
    """Return in which namespace a run was, as far as that is known."""
    if inode is None:
        return "in namespaces that are unknown, empty ones perhaps among them"
    name = names.get(inode)
    return f"in a namespace that has ended (net:[{inode}])" if name is None else f"in {name}"


def _round_trips(phase: Phase) -> List[str]:
    pings = phase.pings
    if pings is None:
        return []
    if not pings.probes and pings.discarded:
        return []
    if not pings.probes:
        return [f"none of {pings.sent} probes was answered."]
    slow = _slow(phase, pings)
    limit = format_duration(slow.threshold_ns)
    took = f"{plural(slow.total, 'round trip')} took longer than {limit}"
    if slow.total == 0:
        return [f"no round trip took longer than {limit}."]
    if phase.runs is None:
        return [
            f"{took}; whether estimation is the cause is unknown, since its runs were not measured."
        ]
    if phase.working_runs:
        took = f"{took}, and {_overlap(slow)} an estimation run"
    if slow.explained:
        return [f"{took}: estimation is the likely cause."]
    if _is_own(phase):
        return [f"{took}."]
    if phase.lost:
        lost = plural(phase.lost, "sample")
        return [f"{took}; whether estimation is the cause is unknown, since {lost} were lost."]
    estimation = "estimation in the selected namespaces" if phase.others_ran else "estimation"
    if not phase.working_runs:
        return [f"{took} while no estimation run did any work: {estimation} is not the cause."]
    most = " of most" if slow.during else ""
    return [f"{took}: {estimation} is not the cause{most}."]


def _overlap(slow: _Slow) -> str:
    if slow.total == 1:
        return "overlaps" if slow.during else "does not overlap"
    return f"{slow.during or 'none'} of them {'overlap' if slow.during > 1 else 'overlaps'}"


def _load(phase: Phase) -> List[str]:
    """Return a warning where other load may be what makes round trips late."""
    slow = None if phase.pings is None else _slow(phase, phase.pings)
    if slow is None or not slow.total or (phase.runs is not None and slow.explained):
        return []
    length_ns = max(1, phase.ended_ns - phase.began_ns)
    others = dict(phase.cpu_busy or {})
    for run in phase.working_runs:
        if run.cpu in others:
            others[run.cpu] -= run.duration_ns / length_ns
    busy = sorted(cpu for cpu, share in others.items() if share * 100 >= _BUSY_PERCENT)
    if not busy:
        return []
    cpu = max(busy, key=lambda one: others[one])
    return [
        f"{len(busy)} of {plural(len(others), 'CPU')} did other work for {_BUSY_PERCENT} % of the "
        f"time or more (CPU {cpu}: {others[cpu] * 100:.0f} %): such load alone makes round trips "
        "late; measure again while the host is less busy."
    ]


def _clock(phase: Phase) -> List[str]:
    if phase.pings is None or not phase.pings.discarded:
        return []
    trips = plural(phase.pings.discarded, "round trip")
    return [f"{trips} left out: the clock of this host was stepped, and ping measures with it."]


def _slow(phase: Phase, pings: Pings) -> _Slow:
    threshold_ns = slow_ns(pings)
    during, others = apart(pings, phase.working_runs)
    counts = [sum(probe.rtt_ns > threshold_ns for probe in part) for part in (during, others)]
    return _Slow(threshold_ns, sum(counts), counts[0])


def _is_own(phase: Phase) -> bool:
    """Return whether the round trips of a phase never leave this host."""
    return phase.pings is not None and bool(phase.pings.own_address) and bool(phase.pings.probes)


def _is_unexplained(phase: Phase) -> bool:
    """Return whether most of the slow round trips have another cause than estimation."""
    if phase.pings is None or phase.runs is None or phase.lost or not phase.pings.probes:
        return False
    return not _slow(phase, phase.pings).explained


def _comparison(phases: Sequence[Phase]) -> List[str]:
    """Return what the tails of the round trips show; the two equal phases show the noise."""
    tails = [
        spread(probe.rtt_ns for probe in phase.pings.probes) if phase.pings is not None else None
        for phase in phases
    ]
    known = [tail.p999_ns for tail in tails if tail is not None]
    if len(known) != len(phases):
        return []
    on, *off = known
    worst, noise = max(off), max(off) - min(off)
    from_to = f"the slowest thousandth of round trips takes {format_duration(on)} and longer with "
    from_to += f"estimation on, {' and '.join(map(format_duration, off))} with it off"
    gain = on - worst
    if gain > noise and gain * 100 >= on * _WORTH_PERCENT:
        return [f"{from_to}: switching it off helps."]
    if any(_is_own(phase) for phase in phases):
        return [f"{from_to}."]
    if gain <= 0:
        return [f"{from_to}: estimation does not make them slower."]
    return [
        f"{from_to}: the difference is small, or no larger than that of two equal phases; "
        "estimation is not what makes them slow."
    ]
