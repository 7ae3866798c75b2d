"""Measures the time from a load of ip_vs to the host's 0, on an idle and on a busy machine."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.vm.guarded import Guarded

from .contenders import CONTENDERS, NOTHING, NOTHING_AGAIN, UNIT, Contender

LONG_S = 600

STORM = "storm"
STORM_PER_SECOND = 20


@dataclass(frozen=True)
class Plan:
    """The numbers of loads for each contender, idle and busy, and in a block.

    The blocks are in random order, so that slow changes of the machine affect all contenders.
    """

    loads: int
    busy_loads: int
    block: int
    reaction_s: float = 10


def measure(host: Guarded, command: Callable[..., str], plan: Plan) -> dict[str, Any]:
    """Measure all contenders, idle and busy; samples in the order in which they were taken."""
    idle = _rounds(host, command, plan, plan.loads, "idle")
    for number in range(2):
        host.succeed(f"{UNIT} --unit=burn-{number} {command('burn')}")
    host.succeed(f"{UNIT} --unit={STORM} {command('storm', STORM_PER_SECOND)}")
    try:
        busy = _rounds(host, command, plan, plan.busy_loads, "busy")
    finally:
        host.succeed(f"systemctl stop burn-0 burn-1 {STORM}; systemctl restart systemd-udevd")
    about = {"storm_per_second": STORM_PER_SECOND, "block": plan.block}
    return {"idle": idle, "busy": busy, **about}


def _rounds(
    host: Guarded, command: Callable[..., str], plan: Plan, loads: int, where: str
) -> dict[str, Any]:
    samples: dict[str, Any] = {one.name: {"samples": [], "value": None} for one in CONTENDERS}
    blocks = [one for one in CONTENDERS for _ in range(_blocks(one, loads // plan.block))]
    random.shuffle(blocks)
    for number, contender in enumerate(blocks, 1):
        print(f"== loads, {where}: {number} of {len(blocks)}, {contender.name}", flush=True)
        found = _block(host, command, plan, contender)
        samples[contender.name]["samples"] += found["samples"]
        samples[contender.name]["value"] = found["value"]
    return samples


def _blocks(contender: Contender, wanted: int) -> int:
    """Return how many blocks a contender gets: one if it never reacts, but all for nothing."""
    return wanted if contender.reacts or contender.name in (NOTHING, NOTHING_AGAIN) else 1


def _block(host: Guarded, command: Callable[..., str], plan: Plan, contender: Contender) -> Any:
    host.succeed(contender.begin, timeout=LONG_S)
    try:
        # For a contender that does not react one wait is enough, to show that.
        waits = plan.block if contender.reacts else 1
        shown = host.succeed(command("loads", plan.block, plan.reaction_s, waits), timeout=LONG_S)
    finally:
        host.succeed(contender.end, timeout=LONG_S)
    found = json.loads(shown)
    for sample in found["samples"]:
        if sample["by"] not in (None, contender.writer):
            raise AssertionError(f"{contender.name}: the value was written by {sample['by']}")
    return found
