"""Turns the counters into a document that outlives the daemon, and back (pure)."""

from typing import Any, Dict, Mapping

from ipvsd.enforce.histogram import BOUNDS_NS, Histogram
from ipvsd.enforce.memory import Memory, Tally
from ipvsd.model import NS_PER_US
from ipvsd.status import documents


def save(memory: Memory, now_ns: int) -> Dict[str, Any]:
    """Return the counters, and the moment that they are of (monotonic)."""
    counters = documents.counters(memory, now_ns)
    return {"monotonic_usec": now_ns // NS_PER_US, "counters": counters}


def restore(saved: Mapping[str, Any], now_ns: int) -> Memory:
    """Return a memory that goes on counting where another daemon of the same boot has ended.

    The time since then is what nobody has counted in. Raises ValueError if the document is not of
    this version, or not of this boot.
    """
    absent_ns = now_ns - saved["monotonic_usec"] * NS_PER_US
    if absent_ns < 0:
        raise ValueError("the saved ones are of another boot")
    counters = saved["counters"]
    tally = Tally(
        writes=dict(counters["writes"]),
        failures=counters["failures"],
        exposed_ns=counters["exposed_usec"] * NS_PER_US,
        runs_leaked=counters["passes_leaked"],
        reactions=_histogram(counters["reactions"]),
        since=counters["since"],
        not_counted_ns=counters["not_counted_usec"] * NS_PER_US + absent_ns,
    )
    return Memory(loads=counters["loads"], events_lost=counters["events_lost"], tally=tally)


def _histogram(reactions: Mapping[str, Any]) -> Histogram:
    cumulative = [0] + [count for _, count in reactions["buckets"]] + [reactions["count"]]
    bounds = [bound for bound, _ in reactions["buckets"]]
    counts = tuple(after - before for before, after in zip(cumulative, cumulative[1:]))
    if bounds != [bound // NS_PER_US for bound in BOUNDS_NS] or min(counts) < 0:
        raise ValueError("the saved ones have other bounds of reaction times")
    slowest_usec = reactions["slowest_usec"] or 0
    return Histogram(counts, reactions["sum_usec"] * NS_PER_US, slowest_usec * NS_PER_US)
