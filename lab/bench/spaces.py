"""Measures many namespaces: one command for all of them, a load with all of them, and births."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.vm.guarded import SERVICE, Guarded

from .contenders import UNIT, VISITS

WITHOUT_TRACEFS = "[Service]\nInaccessiblePaths=-/sys/kernel/tracing -/sys/kernel/debug\n"
LONG_S = 1800
COMMANDS = ("ipvsd apply", "ip -all netns exec", "nsenter loop")
# A command for each namespace takes minutes for thousands, so it is run for no more than these.
SLOW_MAX = 100
# From so many namespaces on, estimation runs leak, and the C loop shows how many are unavoidable.
C_LOOP_MIN = 1000
C_LOOP = (VISITS, "detached", 32, "sys/net/ipv4/vs/run_estimation", 0)

BUSY = 8  # processes, on the one CPU that the guard has too


@dataclass(frozen=True)
class Plan:
    """The numbers of namespaces, and of births."""

    counts: tuple[int, ...]
    singles: int
    bursts: int
    burst_size: int
    reactions: int


def measure(host: Guarded, command: Callable[..., str], plan: Plan) -> dict[str, Any]:
    """Measure births with tracefs and without, commands for all namespaces, and loads.

    The namespaces of the last count stay: it takes minutes to make thousands.
    """
    results: dict[str, Any] = {"sweeps": {}, "loads": {}, "c_loads": {}, "births": {}}
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
        if count >= C_LOOP_MIN:
            shown = host.succeed(command("load_with_many", count, *C_LOOP), timeout=LONG_S)
            results["c_loads"][count] = json.loads(shown)
        host.succeed(f"systemctl start {SERVICE}", timeout=LONG_S)
        shown = host.succeed(command("load_with_many", count), timeout=LONG_S)
        results["loads"][count] = json.loads(shown)
    results["beside_scan"] = _beside_scan(host, command, plan)
    return results


def _beside_scan(host: Guarded, command: Callable[..., str], plan: Plan) -> dict[str, Any]:
    """Measure how soon the host's value is set again, beside a full scan and without one."""
    found: dict[str, Any] = {"namespaces": max(plan.counts), "busy": BUSY}
    host.succeed(command("presence", SERVICE, 30, "idle"), timeout=LONG_S)  # after its start
    host.succeed(command("on_cpu", 0, SERVICE))
    busy = [f"busy-{number}" for number in range(BUSY)]
    for name in busy:
        host.succeed(f"{UNIT} --unit={name} --property=CPUAffinity=0 {command('burn')}")
    try:
        for where in ("no scan", "scan"):
            print(f"== the host's value, {where}", flush=True)
            words = command("host_reactions", plan.reactions, SERVICE, where)
            found[where] = json.loads(host.succeed(words, timeout=LONG_S))
    finally:
        host.succeed(f"systemctl stop {' '.join(busy)}")
        host.succeed(command("on_cpu", "0-1", SERVICE))
    return found
