"""Makes the page of a run of the bench: goals, tables, and links to the plots."""

import textwrap
from typing import Any

from . import native_page, neighbours, stall
from .contenders import CONTENDERS, NOTHING, REACTING, Contender
from .figures import Goal, median, percentile, ratio, table, time
from .goals import goals, percent_of_a_cpu

Results = dict[str, Any]

HOUR_S = 3600
# Measured on a host that stalled; see ipvsd(8).
PUBLISHED_NS = 268_000_000 / 50_000 / 104

HEAD = """\
# Benchmarks

Written by `{command}` on {date}, in {minutes:.0f} minutes. All samples are in
[benchmarks.json](benchmarks.json). `-` stands for a figure that was not measured.
"""
EMULATED = """
What is not native was measured on virtual machines with Debian's kernel {kernel},
2 CPUs and no hardware virtualization. Everything is many times slower there than on real hardware,
and user space is slowed down more than the kernel. What counts are the ratios between contenders,
which were measured in one run, in random order.
"""
GOALS = """
## Goals

"""
REPLACED = """\
These goals replace older ones. Shares of the time of the modprobe hook, of the udev rule and of
`ip -all netns exec` said more about those programs than about the guard: now minimal C programs are
the measure. Limits of each birth's p99 give way to what they stood for, that no estimation run
leaks. A `modprobe` "within 2 %" was a limit below the noise, and wake-ups while idle count as the
CPU time that they take.

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
The C loop ([visits.c](../lab/bench/visits.c)) runs right after the load, in place of the guard,
through detached procfs instances: estimation runs that leak there leak from any program.

"""
BESIDE_SCAN = """\
The time from another program's write to the host's value until the guard has written it, at random
moments, with {namespaces:,} namespaces. The guard and {busy} busy processes have one CPU.

"""
BIRTHS = """\
The time from a namespace's birth until it is off, one after another and many at once.

"""
NEIGHBOURS = """\
## An ordinary user

Another's births, at random moments in up to {seconds:.0f} s, while an ordinary user does what
delays the guard most: the time from birth to off, and the CPU time of the service meanwhile.

"""
BPFTUNE = """\
## Births beside bpftune

"""
BPFTUNE_RUN = """\
bpftune {version} watches network namespaces too, by BPF programs, to tune sysctls in
each. It knows nothing of `run_estimation`. Measured on kernel {kernel}, emulated, with
one namespace after another: the time from the system call that makes a namespace until the program
first enters a namespace afterwards; and the CPU time for each birth, of all the program's
processes, less that of the same time without births.

"""
PRESENCE = """\
## The cost while idle

Measured over {seconds} s without any event, from the moment at which the service has become idle
after its start, and given per hour, for all its processes together. With many namespaces full scans
are not included: {full_scans}.

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
    """Return the text of docs/benchmarks.md, from all samples; of a part only with samples."""
    about = results["about"]
    parts = [HEAD.format(**about)]
    parts += [EMULATED.format(**about)] if "kernel" in about else []
    parts += [
        _again(about.get("again", {})),
        GOALS,
        table(("goal", "figure", ""), map(_goal_row, goals(results))),
        REPLACED,
    ]
    for name in SECTIONS:
        parts += section(name, results)
    return "".join(parts)


def section(part: str, results: Results) -> list[str]:
    """Return the section of a part, nothing if it has no samples."""
    return SECTIONS[part](results[part], results["about"]) if part in results else []


def _loads_section(loads: Results, _about: Results) -> list[str]:
    return [
        LOADS.format(storm=loads["storm_per_second"]),
        _loads(loads),
        LOAD_TIME,
        _load_times(loads),
    ]


def _spaces_section(spaces: Results, _about: Results) -> list[str]:
    parts = [
        SWITCH_OFF_ALL,
        _switch_off_all(spaces["sweeps"]),
        LOAD_MANY,
        _loads_with_many(spaces),
        BIRTHS,
        _births(spaces["births"]),
    ]
    if "beside_scan" in spaces:
        parts += [BESIDE_SCAN.format(**spaces["beside_scan"]), _beside_scan(spaces["beside_scan"])]
    return parts


def _neighbours_section(beside: Results, _about: Results) -> list[str]:
    rows = []
    for name, found in beside.items():
        figures = (percentile(found["off_usec"], percent) for percent in (50, 100))
        what = neighbours.ATTACKERS.get(name, name)
        cells = (f"{len(found['off_usec'])}", *map(time, figures))
        rows.append((what, *cells, f"{percent_of_a_cpu(found):.1f} %"))
    head = ("the user has or does", "births", "p50", "max", "of a CPU")
    seconds = max(found["seconds"] for found in beside.values())
    return [NEIGHBOURS.format(seconds=seconds), table(head, rows)]


def _bpftune_section(part: Results, _about: Results) -> list[str]:
    if "missing" in part:
        return [BPFTUNE, f"Not measured: {part['missing']}.\n\n"]
    found: dict[tuple[str, str], list[Results]] = {}
    for block in part["blocks"]:
        for name, samples in block.items():
            beside = ", ".join(other for other in block if other != name)
            found.setdefault((name, beside), []).append(samples)
    rows = []
    for (name, beside), blocks in sorted(found.items(), key=lambda one: (one[0][1], one[0][0])):
        answers = [usec for one in blocks for usec in one["answered_usec"]]
        figures = (percentile(answers, percent) for percent in (50, 99, 100))
        spent = sum(one["cpu_usec"] - one["idle_cpu_usec"] for one in blocks) / len(answers)
        idle = sum(one["idle_cpu_usec"] for one in blocks) / len(answers)
        rows.append(
            (name, beside or "-", f"{len(answers)}", *map(time, figures), time(spent), time(idle))
        )
    head = (
        "", "beside", "births", "p50", "p99", "max", "CPU time each", "without a birth"
    )  # fmt: skip
    return [BPFTUNE, BPFTUNE_RUN.format(**part), table(head, rows)]


def _presence_section(presence: Results, about: Results) -> list[str]:
    percent = presence.get("full_scans_percent")
    scans = "what they cost is not known" if percent is None else _SCANS.format(percent)
    return [
        PRESENCE.format(seconds=about["presence_seconds"], full_scans=scans),
        _idle(presence),
        STORM,
        _storm(presence["storm"]),
    ]


def _stall_section(runs: list[dict[str, Any]], about: Results) -> list[str]:
    each = stall.nanoseconds_each(run for run in runs if run["estimator"] == "timer")
    return [
        STALL.format(seconds=about["stall_seconds"]),
        _stall_runs(runs),
        MODEL.format(each=each, published=PUBLISHED_NS),
        _pings(runs),
        PLOT,
    ]


SECTIONS = {
    "native": native_page.section,
    "loads": _loads_section,
    "spaces": _spaces_section,
    "neighbours": _neighbours_section,
    "presence": _presence_section,
    "bpftune": _bpftune_section,
    "stall": _stall_section,
}
_SCANS = "their visits take {} % of a CPU at most, and recording a third of that"


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
        **results["about"] | {"date": _dates(results["about"], "stall", "loads")},
    )
    return textwrap.fill(text, 100, break_on_hyphens=False) + "\n"


def summary_in(readme: str) -> str:
    """Return the part of the README that a run writes."""
    begins, ends = "<!-- make bench writes this: -->\n", "<!-- to here -->\n"
    return readme.partition(begins)[2].partition(ends)[0]


def timers(results: Results) -> list[dict[str, Any]]:
    """Return the runs on kernels where a timer estimates."""
    return [run for run in results["stall"] if run["estimator"] == "timer"]


def off_usec(loads: Results, where: str, name: str) -> list[float | None]:
    """Return how long it took after each load until the value was written."""
    return [sample["off_usec"] for sample in loads[where][name]["samples"]]


def load_usec(loads: Results, where: str, name: str) -> list[float]:
    """Return how long each modprobe took."""
    return [sample["load_usec"] for sample in loads[where][name]["samples"]]


def _dates(about: dict[str, Any], *parts: str) -> str:
    """Return the days on which these parts were measured last."""
    again = about.get("again", {})
    return " and ".join(sorted({again.get(part, about)["date"] for part in parts}))


def _again(parts: dict[str, Any]) -> str:
    """Return a sentence for each later run, which has measured some parts again."""
    later: dict[tuple[str, str], list[str]] = {}
    for part, run in parts.items():
        later.setdefault((run["date"], run["command"]), []).append(f"`{part}`")
    return "".join(
        f"\nMeasured again by `{command}` on {date}: {', '.join(sorted(names))}.\n"
        for (date, command), names in sorted(later.items())
    )


def _goal_row(goal: Goal) -> tuple[str, str, str]:
    return goal.text, goal.figure, "**missed**" if goal.met is False else goal.outcome


def _present(samples: Results) -> list[Contender]:
    return [contender for contender in CONTENDERS if contender.name in samples]


def _loads(loads: Results) -> str:
    rows = []
    for where in ("idle", "busy"):
        base = median(off_usec(loads, where, "guard"))
        for contender in _present(loads[where]):
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
        for contender in _present(loads[where]):
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


def _loads_with_many(spaces: Results) -> str:
    rows = []
    for count, guards in spaces["loads"].items():
        loop = spaces.get("c_loads", {}).get(count)
        for name, row in (("guard", guards), ("C loop", loop)):
            if row is not None:
                times = (row["registering_usec"], row["all_off_usec"], row["sweep_usec"])
                cells = map(time, (*times, row["sweep_usec"] / int(count)))
                rows.append((f"{int(count):,}", name, *cells, f"{row['passes']:,}"))
    head = ("namespaces", "", "the kernel's part", "all off", "writes", "each", "estimation runs")
    return table(head, rows)


def _beside_scan(found: Results) -> str:
    rows = []
    for where in ("no scan", "scan"):
        figures = (percentile(found[where], percent) for percent in (50, 99, 100))
        rows.append((where, f"{len(found[where]):,}", *map(time, figures)))
    return table(("", "changes", "p50", "p99", "max"), rows)


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
            f"{percent_of_a_cpu(found):.1f} %",
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
