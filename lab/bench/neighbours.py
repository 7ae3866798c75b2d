"""Measures what an ordinary user can do to others: delay their births, and cost CPU time."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.vm import neighbours
from tests.vm.guarded import SERVICE, Guarded

from .contenders import GUEST_FOLDER

LONG_S = 600
NOBODY = "nobody"
# By the names that neighbours_guest.py has for them.
ATTACKERS = {
    "descriptors": "1.5 million descriptors, and an `unshare -Urn` each second",
    "namespaces": "1,500 namespaces, which nobody can set",
    "storm": "one `unshare -Urn` after another",
}


@dataclass(frozen=True)
class Plan:
    """The number of another's births beside each attacker, and the seconds of all of them."""

    births: int
    seconds: int


def measure(host: Guarded, command: Callable[..., str], plan: Plan) -> dict[str, Any]:
    """Measure another's births, and the service's CPU time, beside nobody and each attacker."""
    host.succeed(f"systemctl stop {SERVICE}; modprobe ip_vs")
    host.succeed(command("have", 0), timeout=LONG_S)
    results = {}
    for name in (NOBODY, *ATTACKERS):
        print(f"== neighbours, {name}", flush=True)
        host.succeed(f"systemctl restart {SERVICE}")
        with ExitStack() as stack:
            if name != NOBODY:
                count = neighbours.ATTACKERS[name]
                stack.enter_context(neighbours.attacking(host.machine, name, count, GUEST_FOLDER))
            words = command("another", SERVICE, plan.births, plan.seconds)
            results[name] = json.loads(host.succeed(words, timeout=LONG_S + 2 * plan.seconds))
    return results
