"""`make kernels`: what the guard finds and does on each test machine; writes docs/kernels.md."""

import argparse
import datetime
import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.bench.figures import median, percentile, table
from lab.bench.figures import time as usec_text
from tests.vm import images, repository
from tests.vm.command import COMMAND_TIMEOUT_S
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.machine import Machine
from tests.vm.product.setups import TRACING
from tests.vm.spaces import Spaces

HOME = Path(__file__).resolve().parents[1]
PAGE, RESULTS = HOME / "docs" / "kernels.md", HOME / "docs" / "kernels.json"

LOADS, SPACES = 25, 50
ALONE = 5  # loads without the guard

# What the vendor's module counts; no other kernel has it.
WORKED = "/sys/module/ip_vs/parameters/worked"


@dataclass(frozen=True)
class Case:
    """A machine, and the parameters with which its ip_vs is loaded."""

    name: str
    suite: str
    parameters: str = ""
    switched: bool = True  # there is something to be set after a load


CASES = (
    Case("Debian 11", "bullseye", switched=False),
    Case("5.10 with the switch", "vendor"),
    Case("the same, `add` before init", "vendor", "early_add=1"),
    Case("the same, 40 ms a namespace", "vendor", "before_each_ms=40"),
    Case("the same, both", "vendor", "early_add=1 before_each_ms=40"),
    Case("the same, keys of TencentOS", "vendor", "dialect=tencentos", switched=False),
    Case("the same, keys of openEuler", "vendor", "dialect=openeuler"),
    Case("Debian 12", "bookworm"),
    Case("Debian 13", "trixie"),
    Case("Debian unstable", "sid"),
)

HEAD = """\
# Kernels

Written by `make kernels`{how}, on virtual machines, emulated. The kernels are Debian's; the 5.10
with the switch is that of Debian 11 with an `ip_vs` in which [edit.py](../tests/vm/vendor/edit.py)
inserts what vendors have: it stands for theirs, and is none of them. Which dialects there are, and
where they were read: [dialects.py](../ipvsd/kernel/dialects.py).

"""
FACTS = """\
## What the guard finds

*Births by*: where its kprobe is set, and whether that tells the namespace, so that in a long load
each one is set in its turn. *Runs by*: what `ipvsd measure` and `ipvsd verify` see of an estimation
run.

"""
LOADED = """\
## Loads with {spaces} namespaces

`ip_vs` was loaded and removed {loads} times, with {spaces} namespaces beside the host's. *Leaked*
are the estimation runs that the guard counts as possible while estimation was not off; *worked* are
those that did work, as the module of the test counts them. The host's sysctl is *set after* the
event, or after it was last seen missing. `modprobe` was timed with the guard stopped and running,
from outside the machine.

"""

# Prints the dialect, the kind of estimator, and what is known of a run.
LOOK = """
import json, sys
sys.path.insert(0, "/usr/share/ipvs-estoff-guard")
from ipvsd.kernel import ipvs
from ipvsd.kernel.estimation_runs import RunProbes
dialect, threads, runs = ipvs.dialect(), ipvs.has_kthreads(), None
try:
    probes = RunProbes("/", threads)
    runs = "each" if probes.detailed else "timers" if probes.take_timers() is not None else "ticks"
    probes.close()
except OSError as error:
    runs = str(error)
print(json.dumps([dialect.name if dialect else None, threads, runs]))
"""
RUNS = {
    "each": "each run, its namespace, and whether it did work",
    "timers": "ticks, and which timer; work only while all is known to be off",
    "ticks": "ticks alone",
}


def main() -> None:
    """Measure on all machines, or on those named, and write the page."""
    parser = argparse.ArgumentParser(prog="kernels", description=main.__doc__)
    parser.add_argument("suite", nargs="*", help=", ".join(images.SUITES))
    parser.add_argument("--loads", type=int, default=LOADS)
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    folder = repository.build()
    for suite in arguments.suite or images.SUITES:
        cases = [case for case in CASES if case.suite == suite]
        results.update(measured(folder, suite, cases, arguments.loads))
        RESULTS.write_text(json.dumps(results, separators=(",", ":")) + "\n")
        PAGE.write_text(page(results))
    print(PAGE.read_text())


def measured(folder: Path, suite: str, cases: Sequence[Case], loads: int) -> dict[str, Any]:
    """Return the results of the cases of one machine, by their names."""
    found = {}
    with Machine(images.build(suite)) as machine:
        host = Guarded(machine)
        host.install(folder)
        for case in cases:
            print(f"== {case.name}", flush=True)
            host.fresh()
            found[case.name] = {
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "kernel": host.kernel(),
                **_facts(host, case),
                **_loads(host, Spaces(machine), case, loads),
            }
    return found


def _facts(host: Guarded, case: Case) -> dict[str, Any]:
    host.succeed(f"modprobe ip_vs {case.parameters}")
    dialect, threads, runs = json.loads(host.succeed(f"python3 -c {shlex.quote(LOOK)}"))
    places = host.execute(f"grep :ipvsd/birth {TRACING}/kprobe_events").stdout.split()
    state = host.status()["namespaces"][0]["state"]
    host.unload()
    return {
        "dialect": dialect,
        "threads": threads,
        "runs": runs,
        "births": places[1] if places else None,
        "tells": any(word.startswith("inode=") for word in places),
        "state": state,
    }


def _loads(host: Guarded, spaces: Spaces, case: Case, loads: int) -> dict[str, Any]:
    if not case.switched:
        return {"loads": 0}
    spaces.clear()
    for _ in range(SPACES):
        spaces.process()
    host.succeed(f"systemctl stop {SERVICE}")
    alone_ms = []
    for _ in range(ALONE):
        alone_ms.append(_load_ms(host, case))
        host.unload()
    host.succeed(f"systemctl start {SERVICE}")
    cursor, worked, took_ms = host.cursor(), None, []
    for _ in range(loads):
        took_ms.append(_load_ms(host, case))
        spaces.wait_for("0")
        shown = host.execute(f"cat {WORKED}")
        if shown.status == 0:
            worked = (worked or 0) + int(shown.stdout)
        host.unload()
    counters = host.status()["daemon"]["counters"]
    reactions = [
        float(entry["IPVSD_REACTION_USEC"])
        for entry in host.events(cursor, "changed")
        if "IPVSD_REACTION_USEC" in entry and entry["IPVSD_NAMESPACE"] == "host"
    ]
    spaces.clear()
    return {
        "loads": loads,
        "leaked": counters["passes_leaked"],
        "worked": worked,
        "reactions_usec": reactions,
        "modprobe_ms": took_ms,
        "modprobe_alone_ms": alone_ms,
    }


def _load_ms(host: Guarded, case: Case) -> float:
    """Load ip_vs; return how long that took, the way into the machine included."""
    began = time.monotonic()
    host.succeed(f"modprobe ip_vs {case.parameters}", timeout=COMMAND_TIMEOUT_S)
    return 1000 * (time.monotonic() - began)


def page(results: dict[str, Any]) -> str:
    """Return the page that follows from the results."""
    known = [(case.name, results[case.name]) for case in CASES if case.name in results]
    dates = sorted({one["date"] for _, one in known})
    how = f" on {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
    facts = [
        (
            name,
            one["kernel"],
            one["dialect"] or "none",
            one["state"],
            "kernel threads" if one["threads"] else "a timer",
            _births(one),
            RUNS.get(one["runs"], one["runs"]),
        )
        for name, one in known
    ]
    loads = [
        (
            name,
            f"{one['leaked']} of {one['loads'] * (SPACES + 1)}",
            "not counted" if one["worked"] is None else f"{one['worked']}",
            usec_text(median(one["reactions_usec"])) if one["reactions_usec"] else "never set",
            usec_text(percentile(one["reactions_usec"], 100)) if one["reactions_usec"] else "-",
            _msec(one.get("modprobe_alone_ms")),
            _msec(one["modprobe_ms"]),
        )
        for name, one in known
        if one["loads"]
    ]
    counts = {one["loads"] for _, one in known if one["loads"]}
    times = " or ".join(map(str, sorted(counts))) or "0"
    return (
        HEAD.format(how=how)
        + FACTS
        + table(
            ("machine", "kernel", "dialect", "state", "estimates in", "births by", "runs by"), facts
        )
        + LOADED.format(spaces=SPACES, loads=times)
        + table(
            (
                "machine",
                "leaked",
                "worked",
                "host set after",
                "at most",
                "modprobe alone",
                "beside the guard",
            ),
            loads,
        ).rstrip()
        + "\n"
    )


def _msec(samples: Sequence[float] | None) -> str:
    return f"{median(samples):.0f} ms" if samples else "not measured"


def _births(one: dict[str, Any]) -> str:
    if one["births"] is None:
        return "none: nothing is to be set"
    return f"`{one['births']}`" + (", tells which" if one["tells"] else "")


if __name__ == "__main__":
    main()
