"""`make soak`: faults again and again, and a host's life; writes docs/reliability.md."""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.vm import images, repository
from tests.vm.bench.figures import table
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

HOME = Path(__file__).resolve().parents[2]
PAGE, RESULTS = HOME / "docs" / "reliability.md", HOME / "docs" / "reliability.json"
FAULTS = "tests/vm/product/test_faults.py"
HERE = Path(__file__).parent

# Events an hour: of a busy host with containers, and a hundred times as many.
RATES = {"realistic": 60, "100 times that": 6000}
SUITE = "bookworm"
MEMORY_MB = 8192  # for 5,000 namespaces
GROWTH_MAX = 1.05  # of the memory's median, from the first to the last third

HEAD = """\
# What the guard survives

Written by `{command}` on {date}, on virtual machines with Debian's kernels.

## Faults

Each was injected so often while estimation was switched on behind the guard's back, or `ip_vs`
loaded. Each time the values were right in the end, after the time given at most, the command that
looks for them included; the journal told of it; and namespaces, processes, trace instances and
probes were as many as before ([test_faults.py](../tests/vm/product/test_faults.py) says how).

"""
LIFE = """\
## Life

Loads of `ip_vs`, births and deaths of namespaces, drifts of a guarded value, reloads and restarts
of the service, at random times ([soak_guest.py](../tests/vm/soak_guest.py)). Passes are those of
estimation that did any work, counted by a probe of the test's own, in all namespaces.

"""


def main() -> int:
    """Run all of it; exit with 1 where something was lost, and then write nothing."""
    parser = argparse.ArgumentParser(prog="soak", description=main.__doc__)
    parser.add_argument("duration", nargs="?", default="2h", help="of each host's life, as 10min")
    parser.add_argument("--scale", type=int, default=10, help="how many times as many faults")
    arguments = parser.parse_args()
    seconds = parsed(arguments.duration)
    faults = injected(arguments.scale)
    live = partial(lived, repository.build(), seconds)
    with ThreadPoolExecutor() as pool:  # a machine each
        lives = dict(zip(RATES, pool.map(live, RATES.values()), strict=True))
    lost = [f"{name}: {what}" for name, life in lives.items() for what in losses(life)]
    if lost:
        print("\n".join(lost), file=sys.stderr)
        return 1
    results = {
        "command": f"make soak DURATION={arguments.duration} SCALE={arguments.scale}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "faults": faults,
        "lives": lives,
    }
    RESULTS.write_text(json.dumps(results, separators=(",", ":")) + "\n")
    PAGE.write_text(page(results))
    print(PAGE.read_text())
    return 0


def parsed(duration: str) -> float:
    """Seconds of a duration such as 90s, 10min or 2h."""
    match = re.fullmatch(r"(\d+)(s|min|h)", duration)
    if match is None:
        raise SystemExit(f"{duration}: not a duration such as 90s, 10min or 2h")
    return int(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


def injected(scale: int) -> list[dict[str, Any]]:
    """Run the tests of faults, each so many times as often; return their rows."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as report:
        environ = os.environ | {
            "IPVSD_SOAK_SCALE": f"{scale}",
            "IPVSD_SOAK_REPORT": report.name,
            "IPVSD_VM_MEMORY_MB": f"{MEMORY_MB}",
        }
        command = [sys.executable, "-m", "pytest", "-q", FAULTS]
        subprocess.run(command, cwd=HOME, env=environ, check=True)
        return [json.loads(line) for line in Path(report.name).read_text().splitlines()]


def lived(folder: Path, seconds: float, per_hour: int) -> dict[str, Any]:
    """Let a host live for a while; return its events and what the daemon was like."""
    with Machine(images.build(SUITE)) as machine:
        host = Guarded(machine)
        host.install(folder)
        host.fresh()
        host.configure("[sysctl]\nnet.ipv4.vs.conntrack = 0\n")
        host.load()
        host.wait_for_value("0")
        for name in ("soak_guest.py", "probe_guest.py"):
            machine.copy_in(HERE / name, f"/run/soak/{name}")
        print(f"== {seconds} s with {per_hour} events an hour", flush=True)
        words = f"python3 -B /run/soak/soak_guest.py {seconds} {per_hour}"
        life: dict[str, Any] = json.loads(host.succeed(words, timeout=seconds + 600))
        counters = host.status()["daemon"]["counters"]
        life["failures"], life["restarts"] = counters["failures"], int(host.show("NRestarts"))
        life["seconds"] = seconds
        return life


def losses(life: dict[str, Any]) -> list[str]:
    """What went wrong in a life."""
    first, last = thirds(life, "pss_kb")
    found = [
        (life["passes"], "passes of estimation"),
        (life["wrong"], "namespaces with estimation on at the end"),
        (life["failures"], "values that could not be set"),
        (life["restarts"], "restarts that nobody had asked for"),
        (last > first * GROWTH_MAX, f"memory grew from {first} to {last} kB"),
    ]
    return [f"{count} {what}" for count, what in found if count]


def thirds(life: dict[str, Any], name: str) -> tuple[int, int]:
    """The medians of the first and of the last third of the samples."""
    values = [sample[name] for sample in life["samples"]]
    size = max(1, len(values) // 3)
    return sorted(values[:size])[size // 2], sorted(values[-size:])[size // 2]


def page(results: dict[str, Any]) -> str:
    """The document."""
    rows = [
        (row["fault"], f"{row['times']}", f"{row['right_after_s']} s", "nothing")
        for row in results["faults"]
    ]
    life_rows = []
    for name, life in results["lives"].items():
        cells = [name, f"{life['seconds'] / 60:.0f} min"]
        cells += [", ".join(f"{count} {what}" for what, count in sorted(life["events"].items()))]
        for figure in ("pss_kb", "descriptors", "threads"):
            cells.append(" → ".join(map(str, thirds(life, figure))))
        life_rows.append([*cells, f"{life['passes']}"])
    head = ("rate", "time", "events", "PSS, kB", "descriptors", "threads", "passes")
    return "".join(
        [
            HEAD.format(**results),
            table(("fault", "times", "right after", "lost"), rows),
            LIFE,
            table(head, life_rows),
            "Memory, descriptors and threads are medians of the first and of the last third.\n",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
