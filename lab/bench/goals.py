"""Decides which goals of the project a run meets; a goal without samples is not measured."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import neighbours
from .contenders import NOTHING, NOTHING_AGAIN
from .figures import Goal, median, percentile, ratio, time
from .native import DETACHED, GUARD, PROC

Results = dict[str, Any]
Found = tuple[str, bool] | None  # the figure, and whether the goal is met

FEW, MANY = 100, 5000
# The share of comparisons of nothing with itself that differ by no more than the noise.
NOISE_PERCENT = 95


def goals(results: Results) -> list[Goal]:
    """Return the goals of the project, each with its figure in this run."""
    found = [(text, figure_of(results)) for text, figure_of in GOALS]
    return [Goal(text, *(one or ("-", None))) for text, one in found]


def percent_of_a_cpu(row: dict[str, float]) -> float:
    """Return the CPU time of a sample as a share."""
    return row["cpu_usec"] / row["seconds"] / 1e4


def by_number(part: Results, name: str) -> dict[int, Any]:
    """Return samples by their numbers, which are text in a file; nothing without samples."""
    return {int(count): found for count, found in part.get(name, {}).items()}


def native_each(results: Results, contender: str, count: int) -> float | None:
    """Return a contender's CPU time for each of so many namespaces."""
    samples = by_number(results.get("native", {}), "counts").get(count, {}).get(contender)
    return median([one["cpu_usec"] / count for one in samples]) if samples else None


def noise_percent(samples: Sequence[float], block: int) -> float:
    """Return by how much the medians of two halves of the same samples differ, in percent.

    The samples were taken in blocks; 95 % of all ways to halve the blocks differ by no more.
    """
    blocks = [samples[at : at + block] for at in range(0, len(samples), block)]
    numbers = range(len(blocks))
    differences = []
    for half in itertools.combinations(numbers, len(blocks) // 2):
        others = [number for number in numbers if number not in half]
        one, other = (
            median([sample for number in part for sample in blocks[number]])
            for part in (half, others)
        )
        differences.append(100 * abs(one / other - 1))
    return percentile(differences, NOISE_PERCENT)


def _times_detached(results: Results) -> Found:
    return _native_ratio(results, DETACHED, 3)


def _share_of_proc(results: Results) -> Found:
    return _native_ratio(results, PROC, 1 / 5)


def _native_ratio(results: Results, contender: str, limit: float) -> Found:
    guard, other = (native_each(results, name, MANY) for name in (GUARD, contender))
    if guard is None or other is None:
        return None
    return f"{time(guard)} and {time(other)}: {ratio(guard, other)}", guard <= limit * other


def _native_growth(results: Results) -> Found:
    few, many = (native_each(results, GUARD, count) for count in (FEW, MANY))
    if few is None or many is None:
        return None
    return f"{time(few)} and {time(many)}: {ratio(many, few)}", many <= 1.3 * few


def _native_load(results: Results) -> Found:
    samples = by_number(results.get("native", {}), "counts").get(MANY, {}).get(GUARD)
    if not samples:
        return None
    slowest = max(samples, key=lambda one: one["wall_usec"])
    set_in_all = min(one["set"] for one in samples)
    figure = f"{time(slowest['wall_usec'])} at most of {len(samples)}, {set_in_all:,} set"
    return figure, slowest["wall_usec"] < 2e6 and set_in_all == MANY


def _load_with_1000(results: Results) -> Found:
    load = by_number(results.get("spaces", {}), "loads").get(1000)
    return load and (f"{load['passes']}", not load["passes"])


def _bursts(results: Results) -> Found:
    births = results.get("spaces", {}).get("births", {}).get("tracefs", {})
    if births.get("burst_size") != 500:
        return None
    figure = f"{births['burst_passes']}, in {len(births['burst']):,} births"
    return figure, not births["burst_passes"]


def _load_with_many(results: Results) -> Found:
    spaces = results.get("spaces", {})
    load = by_number(spaces, "loads").get(MANY)
    if load is None:
        return None
    loop = by_number(spaces, "c_loads").get(MANY)
    theirs = f"{loop['passes']:,}" if loop else "not measured"
    figure = f"{time(load['all_off_usec'])}; {load['passes']:,} runs leaked, the C loop's: {theirs}"
    return figure, load["all_off_usec"] <= 15e6


def _emulated_growth(results: Results) -> Found:
    loads = by_number(results.get("spaces", {}), "loads")
    if FEW not in loads or MANY not in loads:
        return None
    few, many = (loads[count]["sweep_usec"] / count for count in (FEW, MANY))
    return f"{time(many)} and {time(few)}: {ratio(many, few)}", many <= 1.3 * few


def _beside_scan(results: Results) -> Found:
    found = results.get("spaces", {}).get("beside_scan")
    if found is None or found["namespaces"] != MANY:
        return None
    with_it, without = (percentile(found[where], 99) for where in ("scan", "no scan"))
    figure = f"{time(with_it)} and {time(without)}: {ratio(with_it, without)}"
    return figure, with_it <= 1.5 * without


def _listener(results: Results) -> Found:
    loads = results.get("loads", {}).get("idle")
    if loads is None:
        return None
    guard, listener = (
        median([one["off_usec"] for one in loads[name]["samples"]])
        for name in ("guard", "C listener")
    )
    return f"{time(guard)} and {time(listener)}: {ratio(guard, listener)}", guard <= 1.5 * listener


def _modprobe(results: Results) -> Found:
    loads = results.get("loads", {})
    if NOTHING_AGAIN not in loads.get("idle", {}):
        return None
    with_it, *nothing = (
        [one["load_usec"] for one in loads["idle"][name]["samples"]]
        for name in ("guard", NOTHING, NOTHING_AGAIN)
    )
    without = [*nothing[0], *nothing[1]]
    slower = 100 * (median(with_it) / median(without) - 1)
    noise = noise_percent(without, loads["block"])
    return f"{slower:+.1f} %, noise ± {noise:.1f} %", slower <= noise


def _idle_alone(results: Results) -> Found:
    return _idle(results, 0, 0.05)


def _idle_with_many(results: Results) -> Found:
    return _idle(results, MANY, 0.3)


def _idle(results: Results, count: int, limit: float) -> Found:
    presence = results.get("presence", {})
    row = by_number(presence, "idle").get(count)
    if row is None:
        return None
    percent = percent_of_a_cpu(row)
    if not count:
        return f"{percent:.3f} %", percent <= limit
    scans = presence.get("full_scans_percent")
    if scans is None:  # known to be missed, or not known
        return (f"{percent:.3f} %, without full scans", False) if percent > limit else None
    return f"{percent + scans:.3f} %, with full scans", percent + scans <= limit


def _memory(results: Results) -> Found:
    row = by_number(results.get("presence", {}), "idle").get(1000)
    return row and (f"{row['pss_kb'] / 1024:.1f} MB", row["pss_kb"] <= 20 * 1024)


def _attackers(results: Results) -> Found:
    beside = results.get("neighbours")
    if beside is None:
        return None
    rows = [beside[name] for name in neighbours.ATTACKERS]
    slowest = max(percentile(row["off_usec"], 100) for row in rows)
    percent = max(map(percent_of_a_cpu, rows))
    return f"{time(slowest)}; {percent:.1f} % of a CPU", slowest <= 2e6 and percent <= 10


GOALS: Iterable[tuple[str, Callable[[Results], Found]]] = (
    (
        "native: a visit with write, recorded, with 5,000 namespaces: at most 3 × the CPU time of "
        "the C loop through detached instances",
        _times_detached,
    ),
    ("native: the same: at most 1/5 of that of the C loop through `/proc`", _share_of_proc),
    ("native: from 100 to 5,000 namespaces a visit grows by at most 1.3 ×", _native_growth),
    ("native: all of 5,000 are set less than 2 s after a load-like reset", _native_load),
    ("emulated: a load with 1,000 namespaces: no estimation run leaks", _load_with_1000),
    ("emulated: bursts of 500 births, with tracefs: no estimation run leaks", _bursts),
    ("emulated: a load with 5,000 namespaces: every value is set within 15 s", _load_with_many),
    ("emulated: each of 5,000 takes at most 1.3 × as long as each of 100", _emulated_growth),
    (
        "the host's value beside a full scan of 5,000, one CPU, 8 busy processes: p99 of the time "
        "from another program's write to the guard's at most 1.5 × that without a scan",
        _beside_scan,
    ),
    (
        "a user with 1.5 million descriptors, one with 1,500 namespaces, a storm of `unshare "
        "-Urn`: another's birth to off at most 2 s, at most 10 % of a CPU",
        _attackers,
    ),
    ("load to off, host: the median at most 1.5 × that of the C listener", _listener),
    (
        "`modprobe ip_vs` with the guard and without: no slower than the noise of nothing against "
        "itself",
        _modprobe,
    ),
    ("idle, no other namespace: at most 0.05 % of a CPU", _idle_alone),
    ("idle, 5,000 namespaces: at most 0.3 % of a CPU", _idle_with_many),
    (
        "1,000 namespaces: at most 20 MB resident (PSS), all processes of the service",
        _memory,
    ),
)
