"""Measures births beside bpftune, which watches network namespaces too, by BPF."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import images, probe, spaces
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.machine import Machine

from .contenders import GUEST_FOLDER

SUITE, PACKAGE = "trixie", "bpftune"
GUEST = Path(__file__).with_name("bpftune_guest.py")
# The services that run in each block, each of which is measured.
BLOCKS = ((SERVICE,), (PACKAGE,), (SERVICE, PACKAGE))
# What apt prints about a name that no package of the suite has.
NOT_THERE = f"Unable to locate package {PACKAGE}"
LONG_S = 600


@dataclass(frozen=True)
class Plan:
    """The number of blocks of each kind, the births in each, and the seconds between two."""

    rounds: int
    births: int
    apart_s: float


def image() -> images.Image | None:
    """Return the image with bpftune, None if the suite has no such package."""
    try:
        return images.build(SUITE, PACKAGE)
    except images.BuildError as error:
        if NOT_THERE in str(error):
            return None
        raise


def measure(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure births with the guard, with bpftune, and with both, in turn on one machine."""
    found = image()
    if found is None:
        return {"missing": f"Debian's {SUITE} has no package {PACKAGE}"}
    with Machine(found) as machine:
        host = Guarded(machine)
        host.install(folder)
        host.succeed(f"systemctl stop {SERVICE}")
        for path in (GUEST, probe.HELPER, spaces.HELPER):
            machine.copy_in(path, f"{GUEST_FOLDER}/{path.name}")
        version = host.succeed(f"dpkg-query --show --showformat='${{Version}}' {PACKAGE}")
        host.succeed("modprobe ip_vs")
        results = {"kernel": host.kernel(), "version": version, "blocks": []}
        for _ in range(plan.rounds):
            for services in BLOCKS:
                print(f"== births with {' and '.join(services)}", flush=True)
                results["blocks"].append(_block(host, services, plan))
    return results


def _block(host: Guarded, services: tuple[str, ...], plan: Plan) -> dict[str, Any]:
    """Return for each service the samples of its births, and its CPU time, with and without."""
    words = f"python3 -B {GUEST_FOLDER}/{GUEST.name} {plan.births} {plan.apart_s}"
    with ExitStack() as stack:
        for service in services:
            stack.enter_context(_running(host.succeed, service))
        found: dict[str, Any] = json.loads(
            host.succeed(f"{words} {' '.join(services)}", timeout=LONG_S)
        )
    return found


@contextmanager
def _running(succeed: Callable[..., str], service: str) -> Iterator[None]:
    succeed(f"systemctl start {service}", timeout=LONG_S)
    try:
        yield
    finally:
        succeed(f"systemctl stop {service}")
