"""Makes the native section of the page: visits beside the C loop, look-ups, and mounts."""

from typing import Any

from .figures import median, ratio, table, time
from .native import DETACHED, GUARD, IP, PROC

Results = dict[str, Any]

HEAD = """\
## Native

Measured on this machine's own kernel {kernel} with {cpus} CPUs and a load average of
{load:.1f} before, in {seconds:.0f} s, with real namespaces that a process each holds, and a sysctl
that every kernel has in place of that of `ip_vs`. Before each measurement all values are set back,
as by a load of `ip_vs`, and all unused dentries are dropped. A visit is: enter the namespace, open
the value, read it, write it, read it back. The C loop ([visits.c](../lab/bench/visits.c)) does
nothing else: through `/proc`, and through procfs instances that are mounted nowhere and made anew
every {batch} visits. The guard also records what it did. Its CPU time is that of all its threads
and processes. `ip -all netns exec` starts a `sysctl` in each namespace. "All" is the time until the
last namespace is set, and recorded if it is the guard that sets it. The figures are medians.

"""
LOOKUPS = """\
How long another program's `open("/proc/sys/net/ipv4/ip_forward")` takes, before all namespaces are
visited and afterwards. The kernel keeps an entry for each namespace that was looked at through a
procfs mount, all in one chain, which slows down everybody's look-ups there.

"""
MOUNTS = """\
The size of a batch, with {count:,} namespaces and the C loop: the CPU time of a visit, of that the
part of dropping the instances, and another program's `mount` and `umount` of a tmpfs meanwhile.

"""


def section(native: Results, _about: Results) -> list[str]:
    """Return the section, from the samples."""
    counts = {int(count): found for count, found in native["counts"].items()}
    return [
        HEAD.format(**native),
        _visits(counts),
        LOOKUPS,
        _lookups(counts),
        MOUNTS.format(count=max(counts)),
        _beside_mounts(native["beside_mounts"]),
    ]


def _visits(counts: dict[int, Results]) -> str:
    rows = []
    for count, found in counts.items():
        base = _median(found[DETACHED], "cpu_usec")
        for name in (DETACHED, PROC, GUARD, IP):
            if name in found:
                cpu, wall = (_median(found[name], key) for key in ("cpu_usec", "wall_usec"))
                all_set = min(one["set"] for one in found[name])
                cells = (time(cpu / count), ratio(cpu, base), time(wall), f"{all_set:,}")
                rows.append((f"{count:,}", name, *cells))
    head = ("namespaces", "", "CPU time each", "to the C loop, detached", "all", "set")
    return table(head, rows)


def _lookups(counts: dict[int, Results]) -> str:
    rows = []
    for count, found in counts.items():
        for name in (DETACHED, PROC, GUARD):
            both = (f"lookup_{when}_usec" for when in ("before", "after"))
            cells = (f"{_median(found[name], key):.1f} µs" for key in both)
            rows.append((f"{count:,}", name, *cells))
    return table(("namespaces", "visited by", "before", "after"), rows)


def _beside_mounts(batches: Results) -> str:
    rows = []
    for batch, found in batches.items():
        sweeps = found["sweeps"]
        visits = sum(one["visits"] for one in sweeps)
        cells = ["-", "-", "-"]
        if visits:
            each = (
                sum(one[key] for one in sweeps) / visits for key in ("cpu_usec", "drop_cpu_usec")
            )
            longest = max(one["longest_drop_usec"] for one in sweeps)
            cells = [*(f"{usec:.1f} µs" for usec in each), time(longest)]
        theirs = (found[f"p{percent}_usec"] for percent in (50, 99, 100))
        name = {"none": "no visits", "0": "one instance for all"}.get(batch, batch)
        rows.append((name, *cells, f"{found['mounts']:,}", *map(time, theirs)))
    head = (
        "batch", "visit", "of that dropping", "longest drop", "mounts", "mount p50", "p99", "max",
    )  # fmt: skip
    return table(head, rows)


def _median(samples: list[Results], key: str) -> float:
    return median([one[key] for one in samples])
