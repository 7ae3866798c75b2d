"""Machines with the RPM installed, by dnf, from a signed repository."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm import repository
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.words import WITHOUT_TRACEFS
from tests.vm.spaces import Spaces


@pytest.fixture(scope="session")
def repo() -> Path:
    """The repository with the package of the working tree."""
    return repository.build()


@pytest.fixture(scope="session")
def installed() -> dict[Machine, Guarded]:
    """The machines of this session that have the RPM already."""
    return {}


@pytest.fixture
def host(
    request: pytest.FixtureRequest,
    machine_for: Callable[[str], Machine],
    repo: Path,
    installed: dict[Machine, Guarded],
) -> Guarded:
    """The machine of the suite that the test's parameter names, as after installing the RPM."""
    machine = machine_for(request.param)
    if machine not in installed:
        guarded = Guarded(machine)
        guarded.install(repo)
        installed[machine] = guarded
    installed[machine].fresh()
    return installed[machine]


@pytest.fixture
def spaces(host: Guarded) -> Iterator[Spaces]:
    """A maker of namespaces in the host's machine; what it makes is gone after the test."""
    made = Spaces(host.machine)
    made.clear()
    yield made
    made.clear()


@pytest.fixture(params=["tracefs", "no tracefs"])
def tracefs(host: Guarded, request: pytest.FixtureRequest) -> bool:
    """Whether the guard has tracefs; a test that takes this runs with and without."""
    if request.param == "no tracefs":
        host.override_unit(WITHOUT_TRACEFS)
    return bool(request.param == "tracefs")
