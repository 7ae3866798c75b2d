"""The guard in a container beside AppArmor: the default profile of the runtime forbids its work."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import images
from tests.vm.container import IMAGE, GuardContainer
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.product.setups import RESYNC_1S
from tests.vm.repository import HOME
from tests.vm.spaces import Spaces

# The second one is what pods of podman wait in.
PACKAGES = ("apparmor", "catatonit")
MANIFEST = HOME / "deploy" / "manifest.yaml"

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("apparmor")]


@pytest.fixture(scope="module")
def machine(repo: Path) -> Iterator[Guarded]:
    """Start a machine with AppArmor, and with the package installed."""
    with Machine(images.build("trixie", *PACKAGES), security="apparmor") as machine:
        host = Guarded(machine)
        host.install(repo)
        yield host


@pytest.fixture
def host(machine: Guarded) -> Guarded:
    """Return the machine, without ip_vs."""
    machine.fresh()
    return machine


@pytest.mark.parametrize(
    "options, profile, state, value",
    [
        ("--security-opt apparmor=unconfined", "unconfined", "off", "0"),
        ("", "containers-default", "not permitted", "1"),
    ],
    ids=["unconfined", "default"],
)
def test_the_default_profile_leaves_only_the_hosts_namespace(
    host: Guarded,
    spaces: Spaces,
    guard: GuardContainer,
    options: str,
    profile: str,
    state: str,
    value: str,
):
    named = spaces.named("named")
    guard.start(options=options, config=f"{RESYNC_1S}canary = off\n")
    guard.wait_until_alive()
    pid = guard.status()["daemon"]["pid"]
    assert host.succeed(f"cat /proc/{pid}/attr/current").startswith(profile)
    host.load()
    host.wait_for_value("0")
    host.wait_for_state(named, state)
    assert spaces.value(named) == value


def test_the_daemonset_of_the_chart_guards(host: Guarded, spaces: Spaces, guard: GuardContainer):
    """podman plays deploy/manifest.yaml, with the image that the machine has."""
    named = spaces.named("named")
    manifest = re.sub(r"image: .*", f"image: {IMAGE}", MANIFEST.read_text(encoding="utf-8"))
    manifest = manifest.replace("IfNotPresent", "Never")
    with guard.played(manifest) as name:
        guard.wait_until_alive(name)
        host.load()
        host.wait_for_value("0")
        spaces.wait_for("0", named, spaces.process())
