"""`make soak`: repeated faults and the life of a host; writes docs/reliability.md."""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from lab.bench.figures import table
from tests.vm import images, probe, repository
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

HOME = Path(__file__).resolve().parents[1]
PAGE, RESULTS = HOME / "docs" / "reliability.md", HOME / "docs" / "reliability.json"
LOST = HOME / "build" / "soak-lost.json"
FAULTS = "tests/vm/product/test_faults.py"
HERE = Path(__file__).parent

# Events an hour: of a busy host with containers, and a hundred times as many.
RATES = {"realistic": 60, "100 times that": 6000}
SUITE = "bookworm"
MEMORY_MB = 8192  # for 5,000 namespaces
SHORTEST_S = 60  # the guest reads the values each 10 s
GROWTH_MAX = 1.05  # of the memory's median, from the second third to the last

HEAD = """\
# What the guard survives

Written by `make soak`, on virtual machines with Debian's kernels, emulated.

## Faults

Each fault was injected as often as the table says, while another program switched estimation on or
`ip_vs` was loaded. Each time the values were right in the end. The table has the longest time until
then, including the command that read them. Each time the journal had the event, and there were as
many namespaces, processes, trace instances and probes as before
([test_faults.py](../tests/vm/product/test_faults.py) has the details).
{how}

"""
LIFE = """\
## Life

Loads of `ip_vs`, births and deaths of namespaces, drifts of a guarded value, reloads and restarts
of the service, at random times ([soak_guest.py](../lab/soak_guest.py)). A probe of the test counted
the estimation runs that did any work, in all namespaces: those while the guard ran, and those
between the stop and the readiness of a restart.
{how}

"""
TAIL = """\
Memory, descriptors and threads are medians of each third of the time; all samples are in
[reliability.json](reliability.json). After a start, memory grows with the events until the heap is
large enough.
"""


class Lost(Exception):
    """Something was lost; the message says what."""


def main() -> int:
    """Run one part or both; write the results of each that lost nothing; return 1 for others."""
    parser = argparse.ArgumentParser(prog="soak", description=main.__doc__)
    parser.add_argument("duration", nargs="?", default="2h", help="of each host's life, as 10min")
    parser.add_argument("--scale", type=int, default=10, help="how many times as many faults")
    parser.add_argument("--part", choices=("faults", "lives"), help="only one of them")
    arguments = parser.parse_args()
    duration, scale, part = arguments.duration, arguments.scale, arguments.part
    parts: dict[str, tuple[str, Callable[[], Any]]] = {
        "faults": (f"SCALE={scale}", partial(injected, scale)),
        "lives": (f"DURATION={duration}", partial(lived, parsed(duration))),
    }
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    failed = False
    # Not side by side: a delay for lack of a CPU would be no injected fault.
    for name in [part] if part else parts:
        try:
            rows = parts[name][1]()
        except (Lost, subprocess.CalledProcessError):
            traceback.print_exc()
            failed = True
            continue
        results[name] = {
            "command": f"make soak PART={name} {parts[name][0]}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "rows": rows,
        }
        RESULTS.write_text(json.dumps(results, separators=(",", ":")) + "\n")
        PAGE.write_text(page(results))
    print(PAGE.read_text())
    return int(failed)


def parsed(duration: str) -> float:
    """Return the seconds of a duration such as 90s, 10min or 2h."""
    match = re.fullmatch(r"(\d+)(s|min|h)", duration)
    if match is None:
        raise SystemExit(f"{duration}: not a duration such as 90s, 10min or 2h")
    seconds = int(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]
    if seconds < SHORTEST_S:
        raise SystemExit(f"{duration}: too short; it takes at least {SHORTEST_S}s")
    return seconds


def injected(scale: int) -> list[dict[str, Any]]:
    """Run the tests of faults, each with `scale` times as many faults; return their rows."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as report:
        environ = os.environ | {
            "IPVSD_SOAK_SCALE": f"{scale}",
            "IPVSD_SOAK_REPORT": report.name,
            "IPVSD_VM_MEMORY_MB": f"{MEMORY_MB}",
        }
        command = [sys.executable, "-m", "pytest", "-q", "--thorough", FAULTS]
        subprocess.run(command, cwd=HOME, env=environ, check=True)
        return [json.loads(line) for line in Path(report.name).read_text().splitlines()]


def lived(seconds: float) -> dict[str, dict[str, Any]]:
    """Run a host at each rate for a while; raise Lost if something was lost."""
    live = partial(life, repository.build(), seconds)
    with ThreadPoolExecutor() as pool:  # the realistic host is mostly idle
        lives = dict(zip(RATES, pool.map(live, RATES.values()), strict=True))
    lost = [f"{name}: {what}" for name, one in lives.items() for what in losses(one)]
    if lost:
        LOST.write_text(json.dumps(lives))
        raise Lost("\n".join([*lost, f"What was seen: {LOST}"]))
    return lives


def life(folder: Path, seconds: float, per_hour: int) -> dict[str, Any]:
    """Run a host for a while; return its events and samples of the daemon."""
    with Machine(images.build(SUITE)) as machine:
        host = Guarded(machine)
        host.install(folder)
        host.fresh()
        host.configure("[sysctl]\nnet.ipv4.vs.conntrack = 0\n")
        host.load()
        host.wait_for_value("0")
        for path in (HERE / "soak_guest.py", probe.HELPER):
            machine.copy_in(path, f"/run/soak/{path.name}")
        print(f"== {seconds} s with {per_hour} events an hour", flush=True)
        words = f"python3 -B /run/soak/soak_guest.py {seconds} {per_hour}"
        found: dict[str, Any] = json.loads(host.succeed(words, timeout=seconds + 600))
        counters = host.status()["daemon"]["counters"]
        found["failures"], found["restarts"] = counters["failures"], int(host.show("NRestarts"))
        found["seconds"], found["kernel"] = seconds, host.kernel()
        return found


def losses(life: dict[str, Any]) -> list[str]:
    """Return what a host lost. In the first third memory may still grow: the heap settles."""
    _, middle, last = thirds(life, "pss_kb")
    found = {
        f"{len(life['passes'])} estimation runs": life["passes"],
        f"{life['wrong']} namespaces with estimation on at the end": life["wrong"],
        f"{life['failures']} values that could not be set": life["failures"],
        f"{life['restarts']} restarts that nobody had asked for": life["restarts"],
        f"memory grew from {middle} to {last} kB": last > middle * GROWTH_MAX,
    }
    for what in ("descriptors", "threads"):
        _, middle, last = thirds(life, what)
        found[f"{middle} {what} became {last}"] = last > middle
    return [what for what, is_lost in found.items() if is_lost]


def thirds(life: dict[str, Any], name: str) -> list[int]:
    """Return the median of each third of the samples."""
    values = [sample[name] for sample in life["samples"]]
    size = max(1, len(values) // 3)
    parts = (values[:size], values[size:-size] or values, values[-size:])
    return [sorted(part)[len(part) // 2] for part in parts]


def how(part: dict[str, Any], rows: Iterable[dict[str, Any]]) -> str:
    """Return by which command, when and on which kernels some rows were measured."""
    kernels = ", ".join(sorted({row["kernel"] for row in rows}))
    return f"By `{part['command']}` on {part['date']}, kernel {kernels}."


def page(results: dict[str, Any]) -> str:
    """Return the text of docs/reliability.md."""
    faults, lives = results["faults"], results["lives"]
    rows = [
        (row["fault"], f"{row['times']}", f"{row['right_after_s']} s", "nothing")
        for row in faults["rows"]
    ]
    life_rows = []
    for name, one in lives["rows"].items():
        cells = [name, f"{one['seconds'] / 60:.0f} min"]
        cells += [", ".join(f"{count} {what}" for what, count in sorted(one["events"].items()))]
        for figure in ("pss_kb", "descriptors", "threads"):
            cells.append(" → ".join(map(str, thirds(one, figure))))
        life_rows.append([*cells, f"{len(one['passes'])}", f"{one['passes_down']}"])
    figures = ("PSS, kB", "descriptors", "threads", "estimation runs", "in restarts")
    return "".join(
        [
            HEAD.format(how=how(faults, faults["rows"])),
            table(("fault", "times", "right after", "lost"), rows),
            LIFE.format(how=how(lives, lives["rows"].values())),
            table(("rate", "time", "events", *figures), life_rows),
            TAIL,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
