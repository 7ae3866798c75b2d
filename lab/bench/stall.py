"""Measures the stall that estimation causes, with estimation on and off."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.vm import images
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

REAL_SERVERS = 1  # of each service, so that a service is two estimators
# A neighbour whose answers CPU 0 receives, as the CPU of a network card's queue does. The
# estimation runs are on this CPU too, and stay there. ping runs on the other CPU, or it could not
# send during a run. An answer gets its time stamp when it is received, not when it is queued.
ADDRESS = "198.51.100.2"
NEIGHBOUR = f"""
ip netns add neighbour
ip link add ours type veth peer name eth0 netns neighbour
ip address add 198.51.100.1/24 dev ours
ip link set ours up
ip -n neighbour address add {ADDRESS}/24 dev eth0
ip -n neighbour link set eth0 up
echo 1 > /sys/class/net/ours/queues/rx-0/rps_cpus
sysctl -q -w kernel.timer_migration=0 net.core.netdev_tstamp_prequeue=0
"""


@dataclass(frozen=True)
class Host:
    """A kernel, its number of possible CPUs, and the numbers of services to measure in turn."""

    suite: str
    possible_cpus: int
    services: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The hosts, and the length of each of the three phases."""

    hosts: tuple[Host, ...]
    seconds: int


def measure(folder: Path, plan: Plan) -> list[dict[str, Any]]:
    """Measure each host with more and more services; return the saved files of `ipvsd measure`.

    The hosts boot two at a time, and are measured one at a time.
    """
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=2) as pool:
        hosts = list(pool.map(partial(_host, stack, folder), plan.hosts))
        return [
            _run(host, wanted, services, plan.seconds)
            for host, wanted in zip(hosts, plan.hosts, strict=True)
            for services in wanted.services
        ]


def _host(stack: ExitStack, folder: Path, wanted: Host) -> Guarded:
    # The kernel keeps counters for CPUs that could be added, and estimation reads all of them.
    image = images.build(wanted.suite)
    machine = Machine(image, possible_cpus=wanted.possible_cpus, parallel=True)
    host = Guarded(stack.enter_context(machine))
    host.install(folder)
    host.succeed(NEIGHBOUR)
    return host


def _run(host: Guarded, wanted: Host, services: int, seconds: int) -> dict[str, Any]:
    host.fresh()
    host.succeed("taskset --cpu-list 0 modprobe ip_vs")
    host.serve()
    host.serve_many(services, REAL_SERVERS)
    measure = f"ipvsd measure --compare --yes --ping {ADDRESS} --duration {seconds}s"
    command = f"taskset --cpu-list 1 {measure}"
    print(f"== stall, {wanted}: {services} services: {command}", flush=True)
    shown = host.succeed(f"{command} --save /run/measured.json", timeout=120 + 12 * seconds)
    print(shown, flush=True)
    run: dict[str, Any] = json.loads(host.succeed("cat /run/measured.json"))
    host.stop_serving()
    return run


def estimators(run: dict[str, Any]) -> int:
    """Return the number of estimators in all namespaces of a run."""
    return sum(space["estimators"] or 0 for space in run["namespaces"])


def runs_on(run: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with estimation on: the host's, where their namespace is known."""
    figures: dict[str, Any] = run["phases"][0]["passes"]
    spaces = {space["name"]: space for space in figures["namespaces"]}
    return spaces.get("host", figures)


def run_ns(run: dict[str, Any]) -> float:
    """Return how long one run over all estimators takes; kernel threads split it."""
    # In each two seconds every estimator is read once, for every possible CPU.
    return float(runs_on(run)["share"]) * 2e9


def nanoseconds_each(runs: Iterable[dict[str, Any]]) -> float:
    """Return the time for each estimator and possible CPU: a line through 0, by least squares."""
    points = [(estimators(run) * run["possible_cpus"], run_ns(run)) for run in runs]
    return sum(x * y for x, y in points) / sum(x * x for x, _ in points)
