"""The DaemonSet of the chart, played by podman, as docs/fleet.md shows it.

podman 5.4 knows no AppArmor profile in a manifest, so this machine has no AppArmor.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipvsd import __version__
from tests.fleet_page import commands
from tests.vm import images
from tests.vm.command import PATIENCE_S
from tests.vm.container import IMAGE, PODMAN, GuardContainer
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.repository import HOME
from tests.vm.spaces import Spaces

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("play")]


@pytest.fixture(scope="module")
def host(repo: Path) -> Iterator[Guarded]:
    """Start a machine with the package installed, and with what podman's pods wait in."""
    with Machine(images.build("trixie", "catatonit")) as machine:
        host = Guarded(machine)
        host.install(repo)
        yield host


def test_the_commands_of_the_page_have_podman_play_the_chart(
    host: Guarded, spaces: Spaces, guard: GuardContainer
):
    load, play, status, down = commands("Kubernetes", prompt="#")
    text = (HOME / "deploy" / "manifest.yaml").read_text(encoding="utf-8")
    (name,) = re.findall(r'image: "(.*)"', text)
    host.succeed("mkdir -p /srv/page && cat >/srv/page/manifest.yaml", input=text.encode())
    assert load == f"podman load --input ipvs-estoff-guard-{__version__}-image.tar"
    host.succeed(f"{PODMAN} tag {IMAGE} {name}")  # what that file would have
    named = spaces.named("named")
    shown = [f"cd /srv/page && {PODMAN} {one.partition(' ')[2]}" for one in (play, status, down)]
    try:
        host.succeed(shown[0], timeout=PATIENCE_S * 4)
        container_name = status.split()[2]
        guard.wait_until_alive(container_name)
        host.load()
        host.wait_for_value("0")
        spaces.wait_for("0", named, spaces.process())
        assert "NOT RUNNING" not in host.succeed(shown[1], timeout=PATIENCE_S)
    finally:
        host.succeed(shown[2], timeout=PATIENCE_S * 2)
