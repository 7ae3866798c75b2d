"""Machines with the RPM installed, by dnf, from a signed repository."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm import container, repository
from tests.vm.container import GuardContainer
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.machine import Machine
from tests.vm.product.setups import WITHOUT_TRACEFS
from tests.vm.spaces import Spaces


@pytest.fixture(scope="session")
def repo() -> Path:
    """Build the repository with the package of the working tree."""
    return repository.build()


@pytest.fixture(scope="session")
def installed() -> dict[Machine, Guarded]:
    """Keep the machines of this session on which the RPM is installed."""
    return {}


@pytest.fixture
def host(
    request: pytest.FixtureRequest,
    machine_for: Callable[[str], Machine],
    repo: Path,
    installed: dict[Machine, Guarded],
) -> Guarded:
    """Return the machine of the test's suite, in the state after installing the RPM."""
    machine = machine_for(request.param)
    if machine not in installed:
        guarded = Guarded(machine)
        guarded.install(repo)
        installed[machine] = guarded
    installed[machine].fresh()
    return installed[machine]


@pytest.fixture
def spaces(host: Guarded) -> Iterator[Spaces]:
    """Make Spaces in the host's machine; its namespaces are removed after the test."""
    made = Spaces(host.machine)
    made.clear()
    yield made
    made.clear()


@pytest.fixture(params=["tracefs", "no tracefs"])
def tracefs(host: Guarded, request: pytest.FixtureRequest) -> bool:
    """Run the test with tracefs and without; return which of the two it is."""
    if request.param == "no tracefs":
        host.override_unit(WITHOUT_TRACEFS)
    return bool(request.param == "tracefs")


@pytest.fixture(scope="session")
def archive() -> Path:
    """Build the image of the working tree."""
    return container.build()


@pytest.fixture
def guard(host: Guarded, archive: Path) -> Iterator[GuardContainer]:
    """Have the image in the machine, and the service stopped."""
    host.succeed(f"systemctl stop {SERVICE}")
    made = GuardContainer(host.machine)
    made.load(archive)
    yield made
    made.remove()
