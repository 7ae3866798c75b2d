"""The commands of docs/fleet.md, as they stand there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import dashboard
from tests.fleet_page import commands
from tests.vm import images
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.repository import GUEST_FOLDER

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("prometheus")]

SERVE = f"""
mkdir -p /etc/yum.repos.d
echo '127.0.0.1 packages.example.com' >>/etc/hosts
ip link set lo up
systemd-run --unit=repository python3 -m http.server --directory {GUEST_FOLDER} 8080
"""


@pytest.fixture
def host(repo: Path) -> Iterator[Guarded]:
    """Start a machine without the package, which finds the repository at the page's address."""
    with Machine(images.build(dashboard.SUITE, *dashboard.PACKAGES)) as machine:
        machine.copy_in(repo, GUEST_FOLDER)
        machine.succeed(SERVE)
        machine.wait_until_succeeds("curl --silent http://packages.example.com:8080/")
        yield Guarded(machine)


def test_by_hand(host: Guarded):
    shown = commands("By hand", prompt="#")
    assert len(shown) == 10
    for command in shown:
        done = host.execute(command, timeout=10 * PATIENCE_S)
        # The doctor finds that the service does not run yet.
        assert done.status in ([0, 1] if command == "ipvsd doctor" else [0]), done
    host.load()
    host.wait_for_value("0")
    assert host.status()["daemon"]["mode"] == "enforce"
