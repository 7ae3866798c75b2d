"""`make bench`: the stall that estimation causes, and what is left of it with the guard."""

import argparse
import datetime
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import images, repository
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

HOME = Path(__file__).resolve().parents[2]
DOCS = HOME / "docs"
PAGE, RAW, PLOT = DOCS / "benchmarks.md", DOCS / "benchmarks.json", DOCS / "stall.svg"

REAL_SERVERS = 1  # of each service, so that a service is two estimators
ADDRESS = "192.0.2.1"  # of the machine itself: what is late is late on its own CPUs
# The kernel keeps counters for CPUs that could be added, and estimation reads all of them.
POSSIBLE_CPUS = 16


@dataclass(frozen=True)
class Setup:
    """A kernel, how many services at which sizes, and how long each of three phases is."""

    suite: str
    services: tuple[int, ...]
    seconds: int


FULL = (Setup("bookworm", (500, 5_000, 25_000), 20), Setup("trixie", (5_000,), 20))
QUICK = (Setup("bookworm", (5_000,), 10),)

HEAD = """\
# The stall, and what is left of it

Written by `{command}` on {date}. Each row is one run of `ipvsd measure --compare --ping` on a
virtual machine with 2 emulated CPUs, for {cpus} possible ones, where all is many times slower than
on real hardware: what counts are the ratios. The three phases of a run are estimation on, off, and
off again, {seconds} s each; what the last two differ by is noise. All figures are in
[benchmarks.json](benchmarks.json).

"""
PASSES = """\
## Passes of estimation

| kernel | estimator | estimators | pass, median | pass, max | CPU share | passes off | ns each |
|---|---|---|---|---|---|---|---|
"""
PINGS = """\

The last column is the time for each estimator and possible CPU. By the same formula the published
268 ms for {published:,} services on 104 CPUs are {published_ns:.0f} ns.

## Round trips to the machine itself

| kernel | estimators | phase | p50 | p99 | p99.9 | max |
|---|---|---|---|---|---|---|
"""
PLOT_TEXT = """\

![Passes of estimation and round trips, on, off and off again](stall.svg)

The plot is the run with the most estimators on the kernel with a timer.
"""
PUBLISHED = {"services": 50_000, "cpus": 104, "stall_ns": 268_000_000}


def main() -> int:
    """Measure, and write page, raw figures and plot."""
    parser = argparse.ArgumentParser(prog="bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="one size on one kernel")
    quick = parser.parse_args().quick
    setups = QUICK if quick else FULL
    folder = repository.build()
    runs = [run for setup in setups for run in measured(setup, folder)]
    DOCS.mkdir(exist_ok=True)
    RAW.write_text(json.dumps(runs, indent=1) + "\n")
    command = "make bench-quick" if quick else "make bench"
    PAGE.write_text(page(runs, command, setups[0].seconds))
    plot(max((run for run in runs if run["estimator"] == "timer"), key=estimators))
    print(PAGE.read_text())
    return 0


def measured(setup: Setup, folder: Path) -> list[dict[str, Any]]:
    """Measure on one kernel with more and more services."""
    runs = []
    with Machine(images.build(setup.suite), possible_cpus=POSSIBLE_CPUS) as machine:
        host = Guarded(machine)
        host.install(folder)
        for services in setup.services:
            host.fresh()
            host.load()
            host.serve()
            host.serve_many(services, REAL_SERVERS)
            command = f"ipvsd measure --compare --yes --ping {ADDRESS} --duration {setup.seconds}s"
            print(f"== {setup.suite}, {services} services: {command}", flush=True)
            shown = host.succeed(
                f"{command} --save /run/measured.json", timeout=60 + 6 * setup.seconds
            )
            print(shown, flush=True)
            runs.append(json.loads(host.succeed("cat /run/measured.json")))
            host.stop_serving()
    return runs


def estimators(run: dict[str, Any]) -> int:
    """How many there are in all namespaces of a run."""
    return sum(space["estimators"] or 0 for space in run["namespaces"])


def page(runs: list[dict[str, Any]], command: str, seconds: int) -> str:
    """The document, from the raw figures."""
    published = PUBLISHED["stall_ns"] / PUBLISHED["services"] / PUBLISHED["cpus"]
    today = datetime.datetime.now(datetime.UTC).date()
    return "".join(
        [
            HEAD.format(command=command, date=today, cpus=POSSIBLE_CPUS, seconds=seconds),
            PASSES,
            *map(passes_row, runs),
            PINGS.format(published=PUBLISHED["services"], published_ns=published),
            *(ping_row(run, phase) for run in runs for phase in run["phases"]),
            PLOT_TEXT,
        ]
    )


def passes_row(run: dict[str, Any]) -> str:
    """One run's passes; those of a thread are only pieces, so the sum is what compares."""
    on, *off = (phase["passes"] for phase in run["phases"])
    count = estimators(run)
    seconds = run["phases"][0]["duration_usec"] / 1e6
    # In each two seconds every estimator is read once, for every possible CPU.
    busy_ns = on["share"] * seconds * 1e9
    each_ns = busy_ns / (seconds / 2) / count / run["possible_cpus"]
    cells = [
        run["kernel"],
        run["estimator"],
        f"{count:,}",
        milliseconds(on["median_usec"]),
        milliseconds(on["max_usec"]),
        f"{100 * on['share']:.2f} %",
        str(sum(phase["count"] for phase in off)),
        f"{each_ns:.0f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def ping_row(run: dict[str, Any], phase: dict[str, Any]) -> str:
    """One phase's round trips."""
    pings = phase["pings"]
    figures = (pings[f"{name}_usec"] for name in ("p50", "p99", "p999", "max"))
    cells = [run["kernel"], f"{estimators(run):,}", phase["name"], *map(milliseconds, figures)]
    return f"| {' | '.join(cells)} |\n"


def milliseconds(usec: float | None) -> str:
    """A duration as a cell."""
    return "-" if usec is None else f"{usec / 1000:.2f} ms"


def plot(run: dict[str, Any]) -> None:
    """Draw a run as its users would: by the command, from the saved file."""
    saved = HOME / "build" / "measured.json"
    saved.write_text(json.dumps(run))
    command = [sys.executable, "-m", "ipvsd", "measure", "--quiet", f"--show={saved}"]
    subprocess.run([*command, f"--plot={PLOT}"], check=True, cwd=HOME)


if __name__ == "__main__":
    sys.exit(main())
