"""The guard on aarch64, where system calls have other numbers and functions other registers.

The machine has no systemd: the files of the RPM are unpacked, and the program runs by itself.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.vm import images
from tests.vm.accel import QEMU_AARCH64
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import FILE
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.product.setups import ADD_SERVICE, FIRST_ESTIMATION_USEC, TRACING

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group(images.AARCH64)]

REGISTERS = Path(__file__).parents[1] / "registers_guest.py"
# The ways to name the arguments of a function in a probe: the command, and what the probe has.
WAYS = {"names": ("ipvsd", "$arg1"), "registers": (f"python3 -IB /run/{REGISTERS.name}", "%x0")}
LOG = "/run/guard.log"
UNTIL_OFF = f"until grep -qx 0 {FILE}; do sleep 0.05; done"


@pytest.fixture
def machine(machine_for: Callable[[str], Machine], repo: Path) -> Iterator[Machine]:
    """Return the machine with the files of the RPM, and without ip_vs."""
    if shutil.which(QEMU_AARCH64[0]) is None:
        pytest.skip(f"{QEMU_AARCH64[0]} is not installed; `make test-vm-all` installs it")
    machine = machine_for(images.AARCH64)
    (package,) = repo.rglob("*.noarch.rpm")
    unpacked = subprocess.run(["rpm2cpio", package], check=True, stdout=subprocess.PIPE).stdout
    machine.succeed("cd / && cpio --extract --make-directories --quiet -u", input=unpacked)
    machine.copy_in(REGISTERS, f"/run/{REGISTERS.name}")
    machine.succeed("rm -rf /run/ipvs-estoff-guard")  # with the counters of an earlier guard
    yield machine
    machine.execute("ipvsadm --clear; rmmod ip_vs_rr; rmmod ip_vs")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return a command in place of `ipvsd`, and the word for a first argument in its probes."""
    return WAYS[request.param]


@contextmanager
def guarding(machine: Machine, command: str) -> Iterator[None]:
    """Run the guard, and end it as systemd does."""
    job = machine.start_background(f"exec {command} run >{LOG} 2>&1 & echo $! >/run/pid; wait $!")
    try:
        machine.wait_until_succeeds(f"grep -q 'guard: started' {LOG}", timeout=PATIENCE_S)
        yield
    finally:
        machine.succeed("kill $(cat /run/pid)")
        ended = job.wait()
        log = machine.succeed(f"cat {LOG}")
    assert ended.status == 0, log
    assert "Traceback" not in log, log


def measured(machine: Machine, command: str) -> Any:
    """Return what a measurement of some ticks of the timer counted."""
    shown = machine.succeed(f"{command} measure --duration 6s --json", timeout=2 * PATIENCE_S)
    return json.loads(shown)["phases"][0]["passes"]


def test_a_load_and_a_birth_are_set_at_once(machine: Machine, way: tuple[str, str]):
    command, argument = way
    with guarding(machine, command):
        probes = machine.succeed(f"grep ':ipvsd/' {TRACING}/kprobe_events")
        assert f"({argument})" in probes and "inode=" in probes, probes
        machine.succeed("modprobe ip_vs")
        machine.succeed(UNTIL_OFF, timeout=PATIENCE_S)
        # The end of what a load causes: from now on a new namespace is nothing but a birth.
        machine.wait_until_succeeds(f"grep -q 'canary: a new' {LOG}", timeout=PATIENCE_S)
        machine.succeed(f"unshare --net bash -c '{UNTIL_OFF}'", timeout=PATIENCE_S)
        status = json.loads(machine.succeed("ipvsd status --json"))["daemon"]
    assert status["sources"]["births"] == status["sources"]["uevents"] == "on"
    assert status["shared_procfs"] == "", "the guard has a procfs instance of its own"
    counters = status["counters"]
    assert counters["writes"] == {"load": 1, "birth": 1}
    assert counters["passes_leaked"] == counters["failures"] == 0
    assert counters["reactions"]["count"] == 2
    assert counters["reactions"]["slowest_usec"] < FIRST_ESTIMATION_USEC
    assert machine.execute(f"grep ipvsd {TRACING}/kprobe_events").stdout == ""


def test_estimation_runs_are_measured(machine: Machine):
    machine.succeed(f"modprobe ip_vs && {ADD_SERVICE}")
    inode = int(machine.succeed("stat --dereference --format=%i /proc/self/ns/net"))
    runs = measured(machine, "ipvsd")
    assert 2 <= runs["count"] <= 4 and runs["work_known"], "a run each 2 s"
    assert [space["inode"] for space in runs["namespaces"]] == [inode]
    assert 0 < runs["median_usec"] <= runs["max_usec"]
    machine.succeed(f"echo 0 >{FILE}")
    runs = measured(machine, "ipvsd")
    assert runs["count"] == 0 and runs["without_work"] >= 2, runs


def test_registers_tell_the_timers_of_namespaces_apart(machine: Machine):
    command, _ = WAYS["registers"]
    machine.succeed(f"modprobe ip_vs && echo 0 >{FILE}")
    holder = machine.start_background(
        f"exec unshare --net bash -c 'echo 0 >{FILE}; echo $$ >/run/holder; exec sleep infinity'"
    )
    machine.wait_until_succeeds("[ -s /run/holder ]", timeout=PATIENCE_S)
    try:
        runs = measured(machine, command)
    finally:
        holder.kill()
        holder.wait()
    # Only as many timers as namespaces, all at 0, say that the ticks were empty.
    assert runs["count"] == 0 and runs["without_work"] >= 4, runs
    machine.succeed(f"echo 1 >{FILE}")
    runs = measured(machine, command)
    assert runs["count"] >= 2 and not runs["work_known"], runs
