"""Fuzzes each parser of text from outside: python -m tests.fuzz [RUNS [NAME]...]."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests import hostile

HOME = Path(__file__).resolve().parents[2]
CRASHES = HOME / "build" / "fuzz"
# libFuzzer's last line: "#100000 DONE   cov: 171 ft: 402 corp: 91/3Kb ...".
_DONE = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+)", re.M)
_OPTIONS = (
    "-max_len=4096",
    "-timeout=20",  # seconds for one input
    "-rss_limit_mb=1024",
    "-seed=1",
    f"-artifact_prefix={CRASHES}/",
)


class Result(NamedTuple):
    """The result of fuzzing one target."""

    runs: int
    coverage: int  # edges in the bytecode of ipvsd
    features: int
    seconds: float
    crash: str  # the last lines of the output, empty without a crash


def fuzz(name: str, runs: int) -> Result:
    """Fuzz one target, beginning with texts that it accepts."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(hostile.TARGETS[name].seeds):
            Path(corpus, str(number)).write_bytes(seed)
        command = [sys.executable, "-m", "tests.fuzz.target", name, f"-runs={runs}"]
        began_s = time.monotonic()
        done = subprocess.run(
            [*command, *_OPTIONS, corpus],
            cwd=HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        took_s = time.monotonic() - began_s
    found = _DONE.search(done.stdout)
    numbers = tuple(map(int, found.groups())) if found else (0, 0, 0)
    crash = "" if done.returncode == 0 and found else done.stdout[-3000:]
    return Result(*numbers, took_s, crash)


def main() -> int:
    """Fuzz the targets and print a table; return 1 if any has crashed."""
    runs = int(sys.argv[1]) if sys.argv[1:] else 100_000
    names = sys.argv[2:] or list(hostile.TARGETS)
    CRASHES.mkdir(parents=True, exist_ok=True)
    print(f"{'TARGET':<18}{'RUNS':>10}{'COVERAGE':>10}{'FEATURES':>10}{'TIME':>8}  CRASHES")
    results = []
    for name in names:
        one = fuzz(name, runs)
        results.append(one)
        row = f"{name:<18}{one.runs:>10}{one.coverage:>10}{one.features:>10}{one.seconds:>6.0f} s"
        print(f"{row}  {1 if one.crash else 0}\n{one.crash}".rstrip(), flush=True)
    crashed = sum(bool(one.crash) for one in results)
    print(f"{len(results)} targets, {sum(one.runs for one in results)} runs, {crashed} crashes")
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
