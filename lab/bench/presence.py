"""Measures the cost of a running guard, of all its processes, idle and in a storm."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.vm.guarded import SERVICE, Guarded

from .contenders import UNIT, by_name
from .native_guard import FULL_SCANS_PERCENT

LONG_S = 1800
STORM_PER_SECOND = 10_000


@dataclass(frozen=True)
class Plan:
    """The number of starts for each number of namespaces, and the seconds of a measurement."""

    starts: dict[int, int]
    seconds: int


def measure(host: Guarded, command: Callable[..., str], plan: Plan) -> dict[str, Any]:
    """Measure the guard with fewer and fewer namespaces, then the others, then all in a storm."""
    results: dict[str, Any] = {"idle": {}, "starts": {}, "others": {}, "storm": {}}
    results["full_scans_percent"] = FULL_SCANS_PERCENT

    def watch(unit: str, where: str) -> Any:
        words = command("presence", unit, plan.seconds, where)
        return json.loads(host.succeed(words, timeout=LONG_S))

    host.succeed("modprobe ip_vs")
    # First the most namespaces, which the part before has left.
    for count, starts in sorted(plan.starts.items(), reverse=True):
        print(f"== presence, {count} namespaces", flush=True)
        host.succeed(command("have", count), timeout=LONG_S)
        shown = host.succeed(command("starts", SERVICE, starts), timeout=LONG_S)
        results["starts"][count] = json.loads(shown)
        results["idle"][count] = watch(SERVICE, "idle")
    host.succeed(f"systemctl stop {SERVICE}")
    for name in ("tuned", "C listener"):
        with_it = by_name(name)
        host.succeed(with_it.begin, timeout=LONG_S)
        results["others"][name] = watch(with_it.unit, "idle")
        host.succeed(with_it.end)
    host.succeed(f"{UNIT} --unit=storm {command('storm', STORM_PER_SECOND)}")
    for name in ("guard", "tuned", "C listener"):
        print(f"== presence in a storm, {name}", flush=True)
        with_it = by_name(name)
        host.succeed(with_it.begin, timeout=LONG_S)
        before = _sequence(host)
        results["storm"][name] = watch(with_it.unit, "storm")
        sent = _sequence(host) - before
        results["storm"][name]["uevents_per_second"] = sent / results["storm"][name]["seconds"]
        host.succeed(with_it.end)
    host.succeed("systemctl stop storm; systemctl restart systemd-udevd")
    return results


def _sequence(host: Guarded) -> int:
    """Return the kernel's number of the newest uevent."""
    return int(host.succeed("cat /sys/kernel/uevent_seqnum"))
