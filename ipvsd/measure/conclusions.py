"""What measurements mean, in sentences; each says what it is drawn from."""

from typing import List, NamedTuple, Sequence

from ipvsd.measure.statistics import Phase, Pings, apart, slow_ns, spread
from ipvsd.text import format_duration

# Of all slow round trips that overlap a pass: from here on passes are what makes them slow.
_CAUSE_PERCENT = 50
# By how much the tail has to change for a difference to be told: less is not worth a decision.
_WORTH_PERCENT = 20

NEXT = (
    "Look next at: CPU time taken by other tasks, interrupts or the hypervisor (mpstat -P ALL 1: "
    "%soft, %irq, %steal), packets that waited or were dropped (/proc/net/softnet_stat, ethtool "
    "-S), what keeps CPUs from running tasks (perf sched latency, or osnoise in tracefs), sleep "
    "states and frequency of CPUs (turbostat), and the path and the other end (mtr)."
)


class _Slow(NamedTuple):
    """The slow round trips of a phase, and how many of them overlap a pass."""

    threshold_ns: int
    total: int
    during: int


def conclude(phases: Sequence[Phase]) -> List[str]:
    """Return the sentences that a measurement comes to; on, off and off again make three phases."""
    said = []
    for phase in phases:
        prefix = f"{phase.name}: " if len(phases) > 1 else ""
        said += [prefix + sentence for sentence in _runs(phase) + _round_trips(phase)]
    if len(phases) > 1:
        said += _comparison(phases)
    if any(_is_unexplained(phase) for phase in phases):
        said.append(NEXT)
    return said


def _runs(phase: Phase) -> List[str]:
    if phase.runs is None:
        return []
    found = spread(sample.duration_ns for sample in phase.working_runs)
    if found is None:
        return ["no pass of estimation did any work."]
    longest = max(phase.working_runs, key=lambda sample: sample.duration_ns)
    return [
        f"estimation held a CPU {found.total} times, for {format_duration(found.p50_ns)} in the "
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
    if slow.total == 0:
        return [f"no round trip took longer than {limit}."]
    if phase.runs is None:
        return [
            f"{slow.total} round trips took longer than {limit}; without the passes nothing tells "
            "whether estimation is why."
        ]
    if not phase.working_runs:
        return [
            f"{slow.total} round trips took longer than {limit} while no pass did any work: "
            "estimation is not the cause."
        ]
    text = f"{slow.during} of {slow.total} round trips that took longer than {limit} overlap a pass"
    if slow.during * 100 >= slow.total * _CAUSE_PERCENT:
        return [f"{text}: estimation is the likely cause."]
    return [f"{text}: estimation is not the cause of most."]


def _slow(phase: Phase, pings: Pings) -> _Slow:
    threshold_ns = slow_ns(pings)
    during, others = apart(pings, phase.working_runs)
    counts = [sum(probe.rtt_ns > threshold_ns for probe in part) for part in (during, others)]
    return _Slow(threshold_ns, sum(counts), counts[0])


def _is_unexplained(phase: Phase) -> bool:
    """Whether most of what is slow has another cause than estimation."""
    if phase.pings is None or phase.runs is None or not phase.pings.probes:
        return False
    slow = _slow(phase, phase.pings)
    return slow.total > 0 and slow.during * 100 < slow.total * _CAUSE_PERCENT


def _comparison(phases: Sequence[Phase]) -> List[str]:
    """What the tail of the round trips says: the two equal phases show what is only noise."""
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
        return [f"{from_to}: no longer than without; estimation is not what makes them slow."]
    return [
        f"{from_to}: no more of a difference than two equal phases show; estimation is not what "
        "makes them slow."
    ]
