"""Concludes from measurements, in sentences that each name their evidence (pure)."""

from typing import List, NamedTuple, Sequence

from ipvsd.measure.statistics import Phase, Pings, apart, slow_ns, spread
from ipvsd.text import format_duration, plural

# If this share of the slow round trips overlaps an estimation run, estimation is the likely cause.
_CAUSE_PERCENT = 50
# By how much the tail has to improve for a conclusion: less is not worth a decision.
_WORTH_PERCENT = 20

NEXT = (
    "Look next at: CPU time taken by other tasks, interrupts or the hypervisor (mpstat -P ALL 1: "
    "%soft, %irq, %steal), packets that waited or were dropped (/proc/net/softnet_stat, ethtool "
    "-S), what keeps CPUs from running tasks (perf sched latency, or osnoise in tracefs), sleep "
    "states and frequency of CPUs (turbostat), and the path and the other end (mtr)."
)


class _Slow(NamedTuple):
    """The slow round trips of a phase, and how many of them overlap an estimation run."""

    threshold_ns: int
    total: int
    during: int


def conclude(phases: Sequence[Phase]) -> List[str]:
    """Return the conclusions from one phase, or from the three phases of a comparison."""
    sentences = []
    for phase in phases:
        prefix = f"{phase.name}: " if len(phases) > 1 else ""
        sentences += [prefix + sentence for sentence in _runs(phase) + _round_trips(phase)]
    if len(phases) > 1:
        sentences += _comparison(phases)
    if any(_is_unexplained(phase) for phase in phases):
        sentences.append(NEXT)
    return sentences


def _runs(phase: Phase) -> List[str]:
    if phase.runs is None:
        return []
    found = spread(sample.duration_ns for sample in phase.working_runs)
    if found is None:
        return ["no estimation run did any work."]
    longest = max(phase.working_runs, key=lambda sample: sample.duration_ns)
    times = plural(found.total, "time")
    return [
        f"estimation held a CPU {times}, for {format_duration(found.p50_ns)} in the "
        f"median and {format_duration(found.max_ns)} at most (CPU {longest.cpu})."
    ]


def _round_trips(phase: Phase) -> List[str]:
    pings = phase.pings
    if pings is None:
        return []
    if not pings.probes:
        return [f"none of {pings.sent} probes was answered."]
    slow = _slow(phase, pings)
    limit = format_duration(slow.threshold_ns)
    trips = plural(slow.total, "round trip")
    if slow.total == 0:
        return [f"no round trip took longer than {limit}."]
    if phase.runs is None:
        return [
            f"{trips} took longer than {limit}; whether estimation is the cause is unknown, since "
            "its runs were not measured."
        ]
    if not phase.working_runs:
        return [
            f"{trips} took longer than {limit} while no estimation run did any work: "
            "estimation is not the cause."
        ]
    overlap = "overlaps" if slow.during == 1 else "overlap"
    text = f"{slow.during} of {trips} that took longer than {limit} {overlap} an estimation run"
    if slow.during * 100 >= slow.total * _CAUSE_PERCENT:
        return [f"{text}: estimation is the likely cause."]
    return [f"{text}: estimation is not the cause of most."]


def _slow(phase: Phase, pings: Pings) -> _Slow:
    threshold_ns = slow_ns(pings)
    during, others = apart(pings, phase.working_runs)
    counts = [sum(probe.rtt_ns > threshold_ns for probe in part) for part in (during, others)]
    return _Slow(threshold_ns, sum(counts), counts[0])


def _is_unexplained(phase: Phase) -> bool:
    """Return whether most of the slow round trips have another cause than estimation."""
    if phase.pings is None or phase.runs is None or not phase.pings.probes:
        return False
    slow = _slow(phase, phase.pings)
    return slow.total > 0 and slow.during * 100 < slow.total * _CAUSE_PERCENT


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
    if gain <= 0:
        return [f"{from_to}: estimation does not make them slower."]
    return [
        f"{from_to}: the difference is small, or no larger than that of two equal phases; "
        "estimation is not what makes them slow."
    ]
