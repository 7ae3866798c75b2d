"""The guard in a container beside AppArmor: the default profile of the runtime forbids its work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import images
from tests.vm.container import GuardContainer
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.product.setups import RESYNC_1S
from tests.vm.spaces import Spaces

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("apparmor")]


@pytest.fixture(scope="module")
def machine(repo: Path) -> Iterator[Guarded]:
    """Start a machine with AppArmor, and with the package installed."""
    with Machine(images.build("trixie", "apparmor"), security="apparmor") as machine:
        host = Guarded(machine)
        host.install(repo)
        yield host


@pytest.fixture
def host(machine: Guarded) -> Guarded:
    """Return the machine, without ip_vs."""
    machine.fresh()
    return machine


@pytest.mark.parametrize(
    "options, confined, state, value",
    [
        ("--security-opt apparmor=unconfined", False, "off", "0"),
        ("", True, "not permitted", "1"),
    ],
    ids=["unconfined", "default"],
)
def test_the_default_profile_leaves_only_the_hosts_namespace(
    host: Guarded,
    spaces: Spaces,
    guard: GuardContainer,
    options: str,
    confined: bool,
    state: str,
    value: str,
):
    named = spaces.named("named")
    guard.start(options=options, config=f"{RESYNC_1S}canary = off\n")
    guard.wait_until_alive()
    pid = guard.status()["daemon"]["pid"]
    # Unconfined may be shown as a stack of profiles, such as crun//&unconfined.
    assert ("containers-default" in host.succeed(f"cat /proc/{pid}/attr/current")) == confined
    host.load()
    host.wait_for_value("0")
    host.wait_for_state(named, state)
    assert spaces.value(named) == value
