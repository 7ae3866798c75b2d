"""Measures everything in one run, and writes docs/benchmarks.md, .json and the plots.

A quick run writes the same below build/bench/, and prints the page.
"""

import argparse
import datetime
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import images, repository
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

from . import bpftune, charts, contenders, loads, native, neighbours, presence, spaces, stall
from .goals import goals
from .page import page, section, summary, summary_in, timers

HOME = Path(__file__).resolve().parents[2]
DOCS, SCRATCH, README = HOME / "docs", HOME / "build", HOME / "README.md"
KEPT = SCRATCH / "bench"  # of a quick run

SUITE = "bookworm"  # the contenders' kernel: the guest's half is written for it
MEMORY_MB = 8192  # for 5,000 namespaces

ON_ONE_MACHINE: dict[str, Any] = {
    "loads": loads,
    "spaces": spaces,
    "presence": presence,
    "neighbours": neighbours,
}
PARTS = ("native", *ON_ONE_MACHINE, "bpftune", "stall")


@dataclass(frozen=True)
class Plans:
    """The plan of each part."""

    native: native.Plan
    loads: loads.Plan
    spaces: spaces.Plan
    presence: presence.Plan
    neighbours: neighbours.Plan
    bpftune: bpftune.Plan
    stall: stall.Plan


BATCHES = (8, 16, 32, 64, 128, 256)
FULL = Plans(
    native.Plan((100, 1000, 5000), rounds=3, lookups=1000, batches=BATCHES, batch_seconds=4),
    loads.Plan(loads=100, busy_loads=20, block=20),
    spaces.Plan(
        counts=(1, 10, 100, 1000, 5000), singles=50, bursts=2, burst_size=500, reactions=200
    ),
    presence.Plan(starts={0: 3, 100: 3, 1000: 1, 5000: 1}, seconds=30),
    neighbours.Plan(births=40, seconds=240),
    bpftune.Plan(rounds=2, births=20, apart_s=0.5),
    stall.Plan(
        (
            stall.Host("bookworm", 16, (500, 5_000, 25_000)),
            stall.Host("bookworm", 8, (5_000,)),
            stall.Host("bookworm", 2, (5_000,)),
            stall.Host("trixie", 16, (5_000,)),
        ),
        seconds=10,
    ),
)
QUICK = Plans(
    native.Plan((100, 1000, 5000), rounds=1, lookups=300, batches=BATCHES, batch_seconds=0.5),
    loads.Plan(loads=6, busy_loads=6, block=6, reaction_s=3),
    spaces.Plan(counts=(10, 100), singles=10, bursts=1, burst_size=100, reactions=10),
    presence.Plan(starts={0: 1, 100: 1}, seconds=5),
    neighbours.Plan(births=8, seconds=40),
    bpftune.Plan(rounds=1, births=5, apart_s=0.5),
    stall.Plan((stall.Host("bookworm", 16, (5_000,)),), seconds=10),
)


def main() -> int:
    """Measure, and write page, samples and plots; the exit status does not depend on the goals."""
    parser = argparse.ArgumentParser(prog="bench", description=main.__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer samples; print the page, keep it below build/"
    )
    parser.add_argument("--only", choices=PARTS, help="measure one part anew")
    arguments = parser.parse_args()
    plans = QUICK if arguments.quick else FULL
    began = time.monotonic()
    parts = [arguments.only] if arguments.only else PARTS
    results = measured(plans, parts)
    target = "bench-quick" if arguments.quick else "bench"
    run = {
        "command": f"make {target}" + (f" PART={arguments.only}" if arguments.only else ""),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    if arguments.only and not arguments.quick:
        results = measured_again(arguments.only, results, run)
    else:
        results["about"] |= {
            **run,
            "minutes": (time.monotonic() - began) / 60,
            "presence_seconds": plans.presence.seconds,
            "stall_seconds": plans.stall.seconds,
        }
    if arguments.quick:
        print(page(write(results, KEPT, parts)))
        print(f"Kept in {KEPT}")
    else:
        results = write(results, DOCS, parts)
        readme = README.read_text()
        README.write_text(readme.replace(summary_in(readme), summary(results)))
        print(*(text for part in parts for text in section(part, results)), sep="")
    for goal in goals(results):
        print(f"{goal.outcome:<12}  {goal.text}: {goal.figure}")
    return 0


def measured_again(part: str, results: dict[str, Any], run: dict[str, str]) -> dict[str, Any]:
    """Return the documented samples with one part replaced."""
    before: dict[str, Any] = json.loads((DOCS / "benchmarks.json").read_text())
    again = before["about"].get("again", {}) | {part: run}
    return before | {part: results[part], "about": before["about"] | {"again": again}}


def measured(plans: Plans, parts: Sequence[str]) -> dict[str, Any]:
    """Run the parts; the first without a machine, all but the last two that follow on one."""
    results: dict[str, Any] = {"about": {}}
    if "native" in parts:
        try:
            results["native"] = native.measure(plans.native)
        except PermissionError as error:
            if list(parts) == ["native"]:
                raise
            print(f"native: not measured: {error}", flush=True)
    if set(parts) == {"native"}:
        return results
    folder = repository.build()
    wanted: set[tuple[str, ...]] = set()
    if ON_ONE_MACHINE.keys() & parts:
        wanted.add((SUITE, "tuned"))
    if "stall" in parts:
        wanted |= {(host.suite,) for host in plans.stall.hosts}
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda names: images.build(*names), sorted(wanted)))
    if ON_ONE_MACHINE.keys() & parts:
        with Machine(images.build(SUITE, "tuned"), memory_mb=MEMORY_MB, parallel=True) as machine:
            host = Guarded(machine)
            host.install(folder)
            results["about"]["kernel"] = host.kernel()
            contenders.prepare(host)
            command = contenders.script(machine)
            for name, module in ON_ONE_MACHINE.items():
                if name in parts:
                    results[name] = module.measure(host, command, getattr(plans, name))
    if "bpftune" in parts:
        results["bpftune"] = bpftune.measure(folder, plans.bpftune)
    if "stall" in parts:
        results["stall"] = stall.measure(folder, plans.stall)
    return results


def write(results: dict[str, Any], folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Write the page, the samples, and the plots of the parts that were measured.

    Return the samples as they can be read back.
    """
    for one in (folder, SCRATCH):
        one.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(results, separators=(",", ":")) + "\n")
    # Read back, so that all keys are text.
    saved: dict[str, Any] = json.loads((folder / "benchmarks.json").read_text())
    (folder / "benchmarks.md").write_text(page(saved))
    if "loads" in parts:
        charts.loads(saved, folder / "load-to-off.svg")
    if "stall" in parts:
        most = max(timers(saved), key=stall.estimators)
        charts.stall(most, folder / "stall.svg", SCRATCH)
    return saved


if __name__ == "__main__":
    sys.exit(main())
