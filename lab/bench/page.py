"""Makes the page of a run of the bench: goals, tables, and links to the plots."""

import textwrap
from collections.abc import Iterable
from typing import Any

from ipvsd.daemon.scan_schedule import FULL_SHARE

from . import stall
from .contenders import CONTENDERS, NOTHING, REACTING
from .figures import Goal, median, percentile, ratio, spread, table, time

Results = dict[str, Any]

HOUR_S = 3600
PERIOD_USEC = 2_000_000
# Measured on a host that stalled; see ipvsd(8).
PUBLISHED_NS = 268_000_000 / 50_000 / 104
FULL_SCANS_PERCENT = 100 / FULL_SHARE

HEAD = """\
# Benchmarks

Written by `{command}` on {date}, in {minutes:.0f} minutes, on virtual machines with Debian's
kernel {kernel}, 2 CPUs and no hardware virtualization. Everything is many times slower than on
real hardware, and user space is slowed down more than the kernel. What counts are the ratios
between contenders, which were measured in one run, in random order. All samples are in
[benchmarks.json](benchmarks.json). `-` stands for a figure that was not measured.{again}

## Goals

"""
LOADS = """\
## From the load of `ip_vs` to estimation off in the host's namespace

The time from the moment at which the sysctl exists until 0 is written to it, by the kernel's
trace clock. The guard runs from the RPM, under its unit. The hook is `install ip_vs` in
modprobe.d. The rule calls systemd-sysctl from udev. The C listener
([listener.c](../lab/bench/listener.c)) only receives the kernel's events and writes. tuned
applies its profile when it starts: it does not react to a load at all. On the busy machine,
processes keep both CPUs busy, and {storm} unrelated uevents a second keep udevd and every
listener awake.

![Shares of loads after which estimation was off within a time](load-to-off.svg)

"""
LOAD_TIME = """\
How long `modprobe ip_vs` itself takes, compared with a machine without any of them:

"""
SWITCH_OFF_ALL = """\
## Many namespaces

One command switches off all namespaces, each of which is at 1 before. Up to 100 of them have
names, the others have a process each. The commands that start a process in each namespace need
names: they were not run for more than 100.

"""
LOAD_MANY = """\
A load of `ip_vs` while the guard runs and so many namespaces exist: the time from the first
sysctl's appearance until the last namespace is off, and of that the part from the first write to
the last. The kernel itself needs time to add `ip_vs` to each namespace.

"""
BIRTHS = """\
The time from a namespace's birth until it is off, one after another and many at once.

"""
PRESENCE = """\
## The cost while idle

Measured over {seconds} s without any event, from the moment at which the program has become idle
after its start, and given per hour. Full scans are not included: the guard makes them so rarely
that they take {full_scans} % of a CPU at most.

"""
STORM = """\
In a storm of unrelated uevents:

"""
STALL = """\
## The stall, with estimation on and off

Each row is one `ipvsd measure --compare --ping`: estimation on, off, and off again, {seconds} s
each. The difference between the last two is noise. The last column is the time for each estimator
and possible CPU.

"""
MODEL = """\
A line through zero, fitted to the kernel with a timer: an estimation run takes **{each:.0f} ns**
for each estimator and possible CPU, emulated. By the same formula the published 268 ms for 50,000
services on 104 CPUs are {published:.0f} ns.

Round trips to a neighbour. The CPU that estimates also receives the answers, as the CPU of a
network card's queue does. On a host with many CPUs only the packets of this CPU are delayed.

"""
PLOT = """\
![Estimation runs and round trips: on, off, off again](stall.svg)

The plot shows the row with the most estimators on the kernel with a timer.
"""
SUMMARY = (
    "On an emulated machine with 2 CPUs, {possible_cpus} possible ones, {estimators:,} estimators"
    " held a CPU for {median} in the median and {longest} at most, every 2 seconds. With "
    "estimation off there were {off} estimation runs that did any work. The slowest hundredth of "
    "round trips through that CPU took {late_on} and longer, {late_off} with estimation off. From"
    " a load of `ip_vs` until estimation was off it took, in the median: {loads} (`{command}`, "
    "{date}, kernel {kernel}; [docs/benchmarks.md](docs/benchmarks.md))."
)


def page(results: Results) -> str:
    """Return the text of docs/benchmarks.md, from all samples."""
    parts = [
        HEAD.format(**{**results["about"], "again": _again(results["about"].get("again", {}))}),
        table(("goal", "figure", ""), map(_goal_row, goals(results))),
        LOADS.format(storm=results["loads"]["storm_per_second"]),
        _loads(results["loads"]),
        LOAD_TIME,
        _load_times(results["loads"]),
        SWITCH_OFF_ALL,
        _switch_off_all(results["spaces"]["sweeps"]),
        LOAD_MANY,
        _loads_with_many(results["spaces"]["loads"]),
        BIRTHS,
        _births(results["spaces"]["births"]),
        PRESENCE.format(
            seconds=results["about"]["presence_seconds"], full_scans=FULL_SCANS_PERCENT
        ),
        _idle(results["presence"]),
        STORM,
        _storm(results["presence"]["storm"]),
        STALL.format(seconds=results["about"]["stall_seconds"]),
        _stall_runs(results["stall"]),
        MODEL.format(each=stall.nanoseconds_each(timers(results)), published=PUBLISHED_NS),
        _pings(results["stall"]),
        PLOT,
    ]
    return "".join(parts)


def summary(results: Results) -> str:
    """Return the README's summary of a run."""
    run = max(timers(results), key=stall.estimators)
    on, off = stall.runs_on(run), [phase["passes"] for phase in run["phases"][1:]]
    loads = results["loads"]
    off_after = [
        f"{one.name} {time(median(off_usec(loads, 'idle', one.name)))}" for one in REACTING
    ]
    text = SUMMARY.format(
        estimators=stall.estimators(run),
        possible_cpus=run["possible_cpus"],
        median=time(on["median_usec"]),
        longest=time(on["max_usec"]),
        off=sum(phase["count"] for phase in off),
        late_on=time(run["phases"][0]["pings"]["p99_usec"]),
        late_off=time(run["phases"][1]["pings"]["p99_usec"]),
        loads=", ".join(off_after),
        **results["about"],
    )
    return textwrap.fill(text, 100, break_on_hyphens=False) + "\n"


def summary_in(readme: str) -> str:
    """Return the part of the README that a run writes."""
    begins, ends = "<!-- make bench writes this: -->\n", "<!-- to here -->\n"
    return readme.partition(begins)[2].partition(ends)[0]


def goals(results: Results) -> list[Goal]:
    """Return the goals of the project, each with its figure in this run."""
    return [
        *_load_goals(results["loads"]),
        *_space_goals(results["spaces"]),
        *_presence_goals(results["presence"]),
    ]


def timers(results: Results) -> list[dict[str, Any]]:
    """Return the runs on kernels where a timer estimates."""
    return [run for run in results["stall"] if run["estimator"] == "timer"]


def off_usec(loads: Results, where: str, name: str) -> list[float | None]:
    """Return how long it took after each load until the value was written."""
    return [sample["off_usec"] for sample in loads[where][name]["samples"]]


def load_usec(loads: Results, where: str, name: str) -> list[float]:
    """Return how long each modprobe took."""
    return [sample["load_usec"] for sample in loads[where][name]["samples"]]


def _load_goals(loads: Results) -> Iterable[Goal]:
    guard = median(off_usec(loads, "idle", "guard"))
    for name, share in (("modprobe hook", 20), ("udev rule", 40)):
        other = median(off_usec(loads, "idle", name))
        yield Goal(
            f"load to off: the median at most 1/{share} of that of the {name}",
            f"{time(guard)} of {time(other)}: 1/{other / guard:.1f}",
            guard * share <= other,
        )
    busy = percentile(off_usec(loads, "busy", "guard"), 99)
    hook = median(off_usec(loads, "busy", "modprobe hook"))
    yield Goal(
        "load to off on the busy machine: p99 below the median of the hook there",
        f"{time(busy)} and {time(hook)}",
        busy < hook,
    )
    listener = median(off_usec(loads, "idle", "C listener"))
    yield Goal(
        "load to off: the median at most twice that of the C listener",
        f"{time(guard)} and {time(listener)}: {ratio(guard, listener)}",
        guard <= 2 * listener,
    )
    with_it, without = (median(load_usec(loads, "idle", name)) for name in ("guard", NOTHING))
    yield Goal(
        "`modprobe ip_vs` no slower than without the guard, within 2 %",
        f"{100 * (with_it / without - 1):+.1f} % (middle half of the samples: "
        f"± {100 * spread(load_usec(loads, 'idle', NOTHING)):.1f} %)",
        with_it <= 1.02 * without,
    )


def _space_goals(spaces: Results) -> Iterable[Goal]:
    commands = {int(count): rows for count, rows in spaces["sweeps"].items()}
    many, few = max(commands), max(count for count, rows in commands.items() if len(rows) > 1)
    slow = next(row for row in commands[few] if row["command"] == "ip -all netns exec")
    guard = next(row for row in commands[many] if row["command"] == "ipvsd apply")
    faster = (slow["usec"] / few) / (guard["usec"] / (many + 1))
    yield Goal(
        f"`ipvsd apply` takes at most 1/50 of the time of `ip -all netns exec` for each namespace "
        f"({many} and {few} of them)",
        f"1/{faster:.1f}",
        faster >= 50,
    )
    loads = {int(count): row["sweep_usec"] / int(count) for count, row in spaces["loads"].items()}
    yield Goal(
        f"the daemon's time for each of {many} namespaces no more than that for each of {few}, "
        "within a half",
        f"{time(loads[many])} and {time(loads[few])}",
        loads[many] <= 1.5 * loads[few],
    )
    for where, limit, name in (
        ("tracefs", PERIOD_USEC / 20, "with tracefs, p99 below 1/20 of the period"),
        ("no tracefs", PERIOD_USEC, "without, p99 below the period"),
    ):
        births = spaces["births"][where]
        for kind in ("single", "burst"):
            worst = percentile(births[kind], 99)
            yield Goal(f"birth to off, {kind}: {name} of 2 s", time(worst), worst < limit)
    leaked = [births["passes"] for births in spaces["births"].values()]
    leaked += [load["passes"] for load in spaces["loads"].values()]
    yield Goal("estimation runs that did work, in all of these", f"{sum(leaked)}", not any(leaked))


def _presence_goals(presence: Results) -> Iterable[Goal]:
    idle = {int(count): row for count, row in presence["idle"].items()}
    one, many = idle[min(idle)], idle[max(idle)]
    yield Goal(
        "at most 20 MB resident (PSS)", f"{one['pss_kb'] / 1024:.1f} MB", one["pss_kb"] <= 20 * 1024
    )
    yield Goal(
        "idle: at most one wake-up in 5 s",
        f"{one['wakeups']} in {one['seconds']:.0f} s",
        one["wakeups"] <= 0.2 * one["seconds"],
    )
    percent = _cpu_percent(one)
    yield Goal("idle: at most 0.02 % of a CPU", f"{percent:.3f} %", percent <= 0.02)
    percent = _cpu_percent(many) + FULL_SCANS_PERCENT
    yield Goal(
        f"with {max(idle)} namespaces: at most 0.5 % of a CPU",
        f"{percent:.3f} %, with full scans",
        percent <= 0.5,
    )


def _cpu_percent(row: dict[str, float]) -> float:
    return row["cpu_usec"] / row["seconds"] / 1e4


def _again(parts: dict[str, Any]) -> str:
    """Return a sentence for each part that was measured again later."""
    return "".join(
        f"\n\nThe part `{part}` was measured again by `{run['command']}` on {run['date']}."
        for part, run in parts.items()
    )


def _goal_row(goal: Goal) -> tuple[str, str, str]:
    return goal.text, goal.figure, "met" if goal.met else "**missed**"


def _loads(loads: Results) -> str:
    rows = []
    for where in ("idle", "busy"):
        base = median(off_usec(loads, where, "guard"))
        for contender in CONTENDERS:
            found = loads[where][contender.name]
            if not contender.reacts:
                count = len(found["samples"])
                cells = [f"{count}", "never", "never", "never", "-"]
            else:
                samples = off_usec(loads, where, contender.name)
                figures = [percentile(samples, percent) for percent in (50, 99, 100)]
                cells = [f"{len(samples)}", *map(time, figures), ratio(figures[0], base)]
            rows.append((where, contender.name, *cells, found["value"]))
    head = ("machine", "", "loads", "p50", "p99", "max", "p50 to the guard's", "value at the end")
    return table(head, rows)


def _load_times(loads: Results) -> str:
    rows = []
    for where in ("idle", "busy"):
        base = median(load_usec(loads, where, NOTHING))
        for contender in CONTENDERS:
            samples = load_usec(loads, where, contender.name)
            figures = [percentile(samples, percent) for percent in (50, 99, 100)]
            rows.append((where, contender.name, *map(time, figures), ratio(figures[0], base)))
    return table(("machine", "", "p50", "p99", "max", "p50 to that without"), rows)


def _switch_off_all(commands: Results) -> str:
    rows = [
        (
            f"{int(count):,}",
            f"`{row['command']}`",
            time(row["usec"]),
            time(row["usec"] / (int(count) + 1)),
        )
        for count, found in commands.items()
        for row in sorted(found, key=lambda row: row["usec"])
    ]
    return table(("namespaces", "command", "all", "each"), rows)


def _loads_with_many(loads: Results) -> str:
    rows = [
        (
            f"{int(count):,}",
            time(row["registering_usec"]),
            time(row["all_off_usec"]),
            time(row["sweep_usec"]),
            time(row["sweep_usec"] / int(count)),
            f"{row['passes']}",
        )
        for count, row in loads.items()
    ]
    head = ("namespaces", "the kernel's part", "all off", "writes", "each", "estimation runs")
    return table(head, rows)


def _births(births: Results) -> str:
    rows = []
    for where, found in births.items():
        for kind in ("single", "burst"):
            figures = (percentile(found[kind], percent) for percent in (50, 99, 100))
            rows.append((where, kind, f"{len(found[kind]):,}", *map(time, figures)))
    return table(("", "", "births", "p50", "p99", "max"), rows)


def _idle(presence: Results) -> str:
    def row(name: str, count: str, found: dict[str, float], start: str) -> tuple[str, ...]:
        hours = found["seconds"] / HOUR_S
        return (
            name,
            count,
            f"{found['pss_kb'] / 1024:.1f} MB",
            f"{found['cpu_usec'] / 1e6 / hours:.1f} s",
            f"{found['wakeups'] / hours:,.0f}",
            start,
        )

    rows = [
        row("guard", f"{int(count):,}", found, time(median(presence["starts"][count])))
        for count, found in sorted(presence["idle"].items(), key=lambda one: int(one[0]))
    ]
    rows += [row(name, "0", found, "-") for name, found in presence["others"].items()]
    head = (
        "",
        "namespaces beside the host's",
        "PSS",
        "CPU time an hour",
        "wake-ups an hour",
        "start to READY, p50",
    )
    return table(head, rows)


def _storm(storm: Results) -> str:
    rows = [
        (
            name,
            f"{found['uevents_per_second']:,.0f}",
            f"{found['pss_kb'] / 1024:.1f} MB",
            f"{_cpu_percent(found):.1f} %",
        )
        for name, found in storm.items()
    ]
    return table(("", "uevents a second", "PSS", "of a CPU"), rows)


def _stall_runs(runs: list[dict[str, Any]]) -> str:
    rows = []
    for run in runs:
        on, off = stall.runs_on(run), [phase["passes"] for phase in run["phases"][1:]]
        count = stall.estimators(run)
        rows.append(
            (
                run["kernel"],
                run["estimator"],
                f"{count:,}",
                f"{run['possible_cpus']}",
                time(on["median_usec"]),
                time(on["max_usec"]),
                f"{100 * on['share']:.2f} %",
                f"{sum(phase['count'] for phase in off)}",
                f"{stall.run_ns(run) / count / run['possible_cpus']:.0f}",
            )
        )
    head = (
        "kernel", "estimator", "estimators", "possible CPUs", "run, median", "run, max",
        "CPU share", "runs while off", "ns each",
    )  # fmt: skip
    return table(head, rows)


def _pings(runs: list[dict[str, Any]]) -> str:
    rows = []
    for run in runs:
        for phase in run["phases"]:
            pings = phase["pings"]
            figures = (pings[f"{name}_usec"] for name in ("p50", "p99", "p999", "max"))
            cells = map(time, figures)
            where = (run["kernel"], f"{stall.estimators(run):,}", f"{run['possible_cpus']}")
            rows.append((*where, phase["name"], *cells))
    head = ("kernel", "estimators", "possible CPUs", "phase", "p50", "p99", "p99.9", "max")
    return table(head, rows)
