"""Machines for the tests: one a suite and session, with the guest's journal in each failure."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from . import images
from .machine import Machine
from .qemu import MachineGone

CONSOLE_TAIL_LINES = 40
MEMORY_MB = int(os.environ.get("IPVSD_VM_MEMORY_MB", "2048"))

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ

# Most tests are for one suite; the tests of ON_SECOND share a second machine of it.
MOST, SECOND = "bookworm", "second"
ON_SECOND = ("test_commands", "test_drift", "test_measure", "test_verify")

# The machines that a test has used, with the journal's end before it.
USED = pytest.StashKey[dict[str, tuple[Machine, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark for a run without a configuration file too."""
    config.addinivalue_line("markers", "vm: boots virtual machines")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Divide the largest group, so that no worker is busy longer than all others.

    The harness's own tests come first: they check a machine that has just booted.
    """
    items.sort(key=lambda item: "product" in item.path.parts)
    for item in items:
        if _groups(item) == {MOST} and item.path.stem in ON_SECOND:
            item.add_marker(pytest.mark.xdist_group(SECOND))


def _groups(item: pytest.Item) -> set[str]:
    return {mark.args[0] for mark in item.iter_markers("xdist_group")}


@pytest.fixture(scope="session")
def machines() -> Iterator[dict[str, Machine]]:
    """Keep the running machines of this session, by suite; each xdist worker has its own."""
    running: dict[str, Machine] = {}
    yield running
    for machine in running.values():
        machine.stop()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of this run share: the parent of each one's own."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if IS_WORKER else folder


@pytest.fixture(scope="session")
def claims(shared_folder: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that claims a machine for this worker; it fails if another has it.

    With pytest 9.2.0, pytest-xdist 3.8.0 ignores the groups without a warning, and each worker
    boots each machine.
    """
    held: dict[str, TextIO] = {}

    def claim(name: str) -> None:
        if name not in held:
            held[name] = (shared_folder / f"{name}.lock").open("w")
            fcntl.flock(held[name], fcntl.LOCK_EX | fcntl.LOCK_NB)

    yield claim
    for file in held.values():
        file.close()


@pytest.fixture(scope="session")
def broken() -> dict[str, Exception]:
    """Keep the errors of machines that did not boot: another try for each test takes hours."""
    return {}


@pytest.fixture
def machine_for(
    machines: dict[str, Machine],
    claims: Callable[[str], None],
    broken: dict[str, Exception],
    request: pytest.FixtureRequest,
) -> Callable[[str], Machine]:
    """Return a function that returns a suite's machine, and boots it for the first test."""
    used = request.node.stash.setdefault(USED, {})

    def get(suite: str) -> Machine:
        if suite in machines and not machines[suite].running:
            # The machine ended and failed a test; the next test gets another machine.
            machines.pop(suite).stop()
        if suite not in machines:
            if IS_WORKER:
                # A worker gets one group after another: the machines before only take CPU time.
                for other in list(machines):
                    machines.pop(other).stop()
            claims("-".join([suite, *_groups(request.node) - {suite}]))
            if suite in broken:
                raise MachineGone(f"the machine did not boot for an earlier test: {broken[suite]}")
            try:
                machine = Machine(images.build(suite), memory_mb=MEMORY_MB)
                machine.start()
            except Exception as error:
                broken[suite] = error
                raise
            machines[suite] = machine
        if suite not in used:
            has_journal = machines[suite].image.is_native
            cursor = machines[suite].journal_cursor() if has_journal else ""
            used[suite] = (machines[suite], cursor)
        return machines[suite]

    return get


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the journals and consoles of its machines to the report of a failed test."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed:
        for suite, (machine, cursor) in item.stash.get(USED, {}).items():
            report.sections.append((f"journal of {suite}", _journal(machine, cursor)))
            tail = machine.console().splitlines()[-CONSOLE_TAIL_LINES:]
            report.sections.append((f"console of {suite}", "\n".join(tail)))


def _journal(machine: Machine, cursor: str) -> str:
    try:
        entries = machine.journal(since_cursor=cursor)
    except Exception as error:  # no error here may hide the failure that is reported
        return f"unavailable: {error}"
    return "\n".join(_line(entry) for entry in entries)


def _line(entry: dict[str, Any]) -> str:
    seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return f"{seconds:.3f} {entry.get('SYSLOG_IDENTIFIER', '?')}: {entry.get('MESSAGE')}"
