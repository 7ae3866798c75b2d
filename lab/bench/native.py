"""Measures visits to real namespaces on this machine's own kernel, beside a minimal C loop.

Everything happens in a PID, mount and network namespace of the bench's own (native_inside.py),
whose end is the end of all that was made, in whatever way the bench ends. No namespace or mount
of the machine can be seen there, so none can be changed.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-B", "-m")

GUARD, PROC, DETACHED, IP = "guard", "C loop, /proc", "C loop, detached", "ip -all netns exec"


@dataclass(frozen=True)
class Plan:
    """The numbers of namespaces, of rounds, and of look-ups, and the sizes of a batch.

    On a slow machine there are fewer rounds, at least one: none begins after `limit_s`. The
    contenders of a round are in random order, so that slow changes affect all of them.
    """

    counts: tuple[int, ...]
    rounds: int
    lookups: int
    batches: tuple[int, ...]
    batch_seconds: float
    limit_s: float = 90


def measure(plan: Plan) -> dict[str, Any]:
    """Measure in namespaces of the bench's own. Raises PermissionError unless root."""
    if os.geteuid():
        raise PermissionError("the native part makes network namespaces: run it as root")
    command = [
        # The end of the bench ends setpriv's program, that of unshare its first process, and that
        # of the first process all others.
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"),
        *(*PYTHON, "lab.bench.native_inside", json.dumps(asdict(plan))),
    ]
    done = subprocess.run(command, check=True, cwd=HOME, stdout=subprocess.PIPE)
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def compile_c(source: Path, program: Path) -> None:
    """Compile a program without libraries, so that it runs anywhere."""
    options = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *options, "-o", program, source], check=True)
