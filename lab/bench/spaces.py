"""Measures many namespaces: one command for all of them, a load with all of them, and births."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.vm.guarded import SERVICE, Guarded

WITHOUT_TRACEFS = "[Service]\nInaccessiblePaths=-/sys/kernel/tracing -/sys/kernel/debug\n"
LONG_S = 1800
COMMANDS = ("ipvsd apply", "ip -all netns exec", "nsenter loop")
# A command for each namespace takes minutes for thousands, so it is run for no more than these.
SLOW_MAX = 100


@dataclass(frozen=True)
class Plan:
    """The numbers of namespaces, and of births."""

    counts: tuple[int, ...]
    singles: int
    bursts: int
    burst_size: int


def measure(host: Guarded, command: Callable[..., str], plan: Plan) -> dict[str, Any]:
    """Measure births with tracefs and without, commands for all namespaces, and loads.

    The namespaces of the last count stay: it takes minutes to make thousands.
    """
    results: dict[str, Any] = {"sweeps": {}, "loads": {}, "births": {}}
    for where in ("tracefs", "no tracefs"):
        print(f"== births, {where}", flush=True)
        host.drop_in_unit("" if where == "tracefs" else WITHOUT_TRACEFS)
        host.succeed(f"systemctl restart {SERVICE}; modprobe ip_vs")
        births = command("births", plan.singles, plan.bursts, plan.burst_size)
        results["births"][where] = json.loads(host.succeed(births, timeout=LONG_S))
        counters = host.status()["daemon"]["counters"]
        results["births"][where]["passes_leaked"] = counters["passes_leaked"]
    host.drop_in_unit("")
    for count in plan.counts:
        print(f"== {count} namespaces", flush=True)
        host.succeed(f"systemctl stop {SERVICE}; modprobe ip_vs")
        commands = COMMANDS if count <= SLOW_MAX else COMMANDS[:1]
        shown = host.succeed(command("switch_off_all", count, *commands), timeout=LONG_S)
        results["sweeps"][count] = json.loads(shown)
        host.succeed(f"systemctl start {SERVICE}", timeout=LONG_S)
        shown = host.succeed(command("load_with_many", count), timeout=LONG_S)
        results["loads"][count] = json.loads(shown)
    return results
