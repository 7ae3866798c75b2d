"""The headline: the stall that estimation causes, and what is left of it with the guard."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import images
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

REAL_SERVERS = 1  # of each service, so that a service is two estimators
ADDRESS = "192.0.2.1"  # of the machine itself: what is late is late on its own CPUs


@dataclass(frozen=True)
class Host:
    """A kernel, for how many CPUs it counts, and how many services it is to have, in turn."""

    suite: str
    possible_cpus: int
    services: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The hosts, and how long each of the three phases is."""

    hosts: tuple[Host, ...]
    seconds: int


def measure(folder: Path, plan: Plan) -> list[dict[str, Any]]:
    """Measure each host with more and more services; what `ipvsd measure` saves, for each."""
    return [run for host in plan.hosts for run in _runs(folder, host, plan.seconds)]


def _runs(folder: Path, wanted: Host, seconds: int) -> Iterable[dict[str, Any]]:
    # The kernel keeps counters for CPUs that could be added, and estimation reads all of them.
    with Machine(
        images.build(wanted.suite), possible_cpus=wanted.possible_cpus, parallel=True
    ) as machine:
        host = Guarded(machine)
        host.install(folder)
        for services in wanted.services:
            host.fresh()
            host.load()
            host.serve()
            host.serve_many(services, REAL_SERVERS)
            command = f"ipvsd measure --compare --yes --ping {ADDRESS} --duration {seconds}s"
            print(f"== stall, {wanted}: {services} services: {command}", flush=True)
            shown = host.succeed(f"{command} --save /run/measured.json", timeout=120 + 12 * seconds)
            print(shown, flush=True)
            yield json.loads(host.succeed("cat /run/measured.json"))
            host.stop_serving()


def estimators(run: dict[str, Any]) -> int:
    """How many there are in all namespaces of a run."""
    return sum(space["estimators"] or 0 for space in run["namespaces"])


def pass_ns(run: dict[str, Any]) -> float:
    """How long one pass over all estimators takes; those of a thread come in many pieces."""
    on = run["phases"][0]
    # In each two seconds every estimator is read once, for every possible CPU.
    return float(on["passes"]["share"]) * 2e9


def nanoseconds_each(runs: Iterable[dict[str, Any]]) -> float:
    """The time for each estimator and possible CPU: a line through 0, by least squares."""
    points = [(estimators(run) * run["possible_cpus"], pass_ns(run)) for run in runs]
    return sum(x * y for x, y in points) / sum(x * x for x, _ in points)
