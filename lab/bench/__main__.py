"""Measures everything in one run, and writes docs/benchmarks.md, .json and the plots."""

import argparse
import datetime
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import images, repository
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

from . import charts, contenders, loads, presence, spaces, stall
from .page import goals, page, summary, summary_in, timers

HOME = Path(__file__).resolve().parents[2]
DOCS, SCRATCH, README = HOME / "docs", HOME / "build", HOME / "README.md"

SUITE = "bookworm"  # the contenders' kernel: the guest's half is written for it
MEMORY_MB = 8192  # for 5,000 namespaces

PARTS = ("loads", "spaces", "presence", "stall")


@dataclass(frozen=True)
class Plans:
    """The plan of each part."""

    loads: loads.Plan
    spaces: spaces.Plan
    presence: presence.Plan
    stall: stall.Plan


FULL = Plans(
    loads.Plan(loads=100, busy_loads=20, block=20),
    spaces.Plan(counts=(1, 10, 100, 1000, 5000), singles=50, bursts=2, burst_size=500),
    presence.Plan(starts={0: 3, 100: 3, 5000: 1}, seconds=30),
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
    loads.Plan(loads=6, busy_loads=6, block=6, reaction_s=3),
    spaces.Plan(counts=(10, 100), singles=10, bursts=1, burst_size=100),
    presence.Plan(starts={0: 1, 100: 1}, seconds=5),
    stall.Plan((stall.Host("bookworm", 16, (5_000,)),), seconds=10),
)


def main() -> int:
    """Measure, and write page, samples and plots; the exit status does not depend on the goals."""
    parser = argparse.ArgumentParser(prog="bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples of everything")
    parser.add_argument(
        "--only", choices=PARTS, help="measure one part anew; with --quick, print its samples"
    )
    arguments = parser.parse_args()
    plans = QUICK if arguments.quick else FULL
    began = time.monotonic()
    results = measured(plans, [arguments.only] if arguments.only else PARTS)
    if arguments.only and arguments.quick:
        print(json.dumps(results))
        return 0
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    if arguments.only:
        part = arguments.only
        before = json.loads((DOCS / "benchmarks.json").read_text())
        again = before["about"].get("again", {})
        again[part] = {"command": f"make bench PART={part}", "date": date}
        results = before | {part: results[part], "about": before["about"] | {"again": again}}
    else:
        results["about"] |= {
            "command": "make bench-quick" if arguments.quick else "make bench",
            "date": date,
            "minutes": (time.monotonic() - began) / 60,
            "presence_seconds": plans.presence.seconds,
            "stall_seconds": plans.stall.seconds,
        }
    write(results)
    for goal in goals(results):
        print(f"{'met   ' if goal.met else 'MISSED'}  {goal.text}: {goal.figure}")
    return 0


def measured(plans: Plans, parts: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Run the parts; all but the last on one machine."""
    folder = repository.build()
    results: dict[str, Any] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        wanted = {(SUITE, "tuned"), *((host.suite,) for host in plans.stall.hosts)}
        list(pool.map(lambda names: images.build(*names), sorted(wanted)))
    if set(parts) - {"stall"}:
        with Machine(images.build(SUITE, "tuned"), memory_mb=MEMORY_MB, parallel=True) as machine:
            host = Guarded(machine)
            host.install(folder)
            results["about"] = {"kernel": host.kernel()}
            contenders.prepare(host)
            command = contenders.script(machine)
            for name, module in (("loads", loads), ("spaces", spaces), ("presence", presence)):
                if name in parts:
                    results[name] = module.measure(host, command, getattr(plans, name))
    if "stall" in parts:
        results["stall"] = stall.measure(folder, plans.stall)
    return results


def write(results: dict[str, Any]) -> None:
    """Write the page, the README's part and the plots, all from the samples."""
    DOCS.mkdir(exist_ok=True)
    (DOCS / "benchmarks.json").write_text(json.dumps(results, separators=(",", ":")) + "\n")
    # Read back, so that all keys are text.
    results = json.loads((DOCS / "benchmarks.json").read_text())
    (DOCS / "benchmarks.md").write_text(page(results))
    readme = README.read_text()
    README.write_text(readme.replace(summary_in(readme), summary(results)))
    charts.loads(results, DOCS / "load-to-off.svg")
    charts.stall(max(timers(results), key=stall.estimators), DOCS / "stall.svg", SCRATCH)


if __name__ == "__main__":
    sys.exit(main())
