"""The image of each suite: it boots, and its ip_vs has the expected sysctls."""

from collections.abc import Callable

import pytest

from .images import EVERYDAY, SUITES
from .machine import Machine
from .product.kernels import THOROUGH

RUN_ESTIMATION = "/proc/sys/net/ipv4/vs/run_estimation"
EST_NICE = "/proc/sys/net/ipv4/vs/est_nice"

# Why there is each suite: no sysctl, a timer estimates, kernel threads estimate.
SYSCTLS = {
    "bullseye": set(),
    "vendor": {RUN_ESTIMATION},
    "bookworm": {RUN_ESTIMATION},
    "trixie": {RUN_ESTIMATION, EST_NICE},
    "sid": {RUN_ESTIMATION, EST_NICE},
}

pytestmark = pytest.mark.vm


def _param(suite: str) -> object:
    thorough = [] if suite in EVERYDAY else [THOROUGH]
    return pytest.param(suite, marks=[pytest.mark.xdist_group(suite), *thorough])


@pytest.fixture(params=map(_param, SUITES))
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def machine(machine_for: Callable[[str], Machine], suite: str) -> Machine:
    return machine_for(suite)


def test_no_unit_has_failed(machine: Machine) -> None:
    assert machine.succeed("systemctl --failed --no-legend; systemctl is-system-running") == (
        "running\n"
    )


def test_ip_vs_can_be_loaded_and_has_the_sysctls(machine: Machine, suite: str) -> None:
    machine.execute("modprobe --remove ip_vs")  # another test may have left it
    machine.succeed("modprobe ip_vs")
    shown = machine.execute(f"ls {RUN_ESTIMATION} {EST_NICE}").stdout
    machine.succeed("modprobe --remove ip_vs")
    assert set(shown.split()) == SYSCTLS[suite]


def test_rpm_knows_what_dpkg_has(machine: Machine) -> None:
    python = machine.succeed("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    provided = machine.succeed("rpm --query --provides debian-provides").splitlines()
    assert {f"python(abi) = {python.strip()}", "/bin/sh", "/usr/bin/python3"} <= set(provided)
    names = {capability.partition(" ")[0] for capability in provided}
    assert {"systemd", "python3-pyudev", "python3-systemd"} <= names
    assert "python3-sdnotify" not in names
