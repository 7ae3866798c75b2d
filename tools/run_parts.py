"""Runs the parts of the tests, and prints how long each took and which of them failed.

The parts of one stage run side by side: their tests measure no time. The next stage begins when
all of them have passed. With --all, each part runs all its tests.
"""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
LOGS = HOME / "build" / "parts"


class Part(NamedTuple):
    """One part, and its targets of make."""

    name: str
    targets: tuple[str, ...]


class Outcome(NamedTuple):
    """The result of a part: its time and its exit status."""

    part: Part
    seconds: float
    status: int


EVERYDAY = (
    (
        Part("lint", ("lint",)),
        # The package first, since the machines install it; its build runs the unit tests.
        Part("packaging", ("rpm", "test-packaging")),
        Part("images", ("vm-images",)),
    ),
    (Part("unit", ("unit",)),),
    (Part("vm", ("test-vm",)),),
)
# The same, on every Python and on every kernel.
WHOLE = {"unit": ("unit-all",), "vm": ("test-vm-all",)}


def run(part: Part, alone: bool) -> Outcome:
    """Run a part; one that is not alone prints its output at its end."""
    command = ["make", "--no-print-directory", *part.targets]
    started = time.monotonic()
    if alone:
        status = subprocess.run(command, cwd=HOME, check=False).returncode
        return Outcome(part, time.monotonic() - started, status)
    log = LOGS / f"{part.name}.log"
    with log.open("wb") as file:
        status = subprocess.run(
            command, cwd=HOME, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        ).returncode
    seconds = time.monotonic() - started
    print(log.read_text(encoding="utf-8", errors="replace"), end="", flush=True)
    return Outcome(part, seconds, status)


def run_stage(parts: tuple[Part, ...]) -> list[Outcome]:
    """Run parts side by side."""
    names = ", ".join(part.name for part in parts)
    print(f"== {time.strftime('%H:%M:%S', time.gmtime())} UTC: {names}", flush=True)
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        return list(pool.map(lambda part: run(part, alone=len(parts) == 1), parts))


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def table(stages: tuple[tuple[Part, ...], ...], outcomes: list[Outcome], seconds: float) -> str:
    """Return a table: one line for each part, and one for the whole."""
    done = {outcome.part: outcome for outcome in outcomes}
    lines = []
    for part in (part for stage in stages for part in stage):
        if part not in done:
            lines.append(f"== {part.name:10} {'-':>6}  not run")
            continue
        word = f"FAILED ({done[part].status})" if done[part].status else "passed"
        lines.append(f"== {part.name:10} {clock(done[part].seconds):>6}  {word}")
    failed = [outcome.part.name for outcome in outcomes if outcome.status]
    word = f"FAILED: {', '.join(failed)}" if failed else "passed"
    return "\n".join([*lines, f"== {'whole':10} {clock(seconds):>6}  {word}"])


def main() -> int:
    """Run the stages up to the first one that fails; return 1 if a part has failed."""
    parser = argparse.ArgumentParser(prog="run_parts", description=main.__doc__)
    parser.add_argument("--all", action="store_true", help="on every Python and on every kernel")
    stages = EVERYDAY
    if parser.parse_args().all:
        stages = tuple(
            tuple(part._replace(targets=WHOLE.get(part.name, part.targets)) for part in stage)
            for stage in EVERYDAY
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    outcomes: list[Outcome] = []
    for stage in stages:
        outcomes += run_stage(stage)
        if any(outcome.status for outcome in outcomes):
            break
    print(table(stages, outcomes, time.monotonic() - started))
    return int(any(outcome.status for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
