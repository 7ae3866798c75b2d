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

# Most tests are for one suite: those of these modules share a second machine of it.
MOST, SECOND = "bookworm", "second"
ON_SECOND = ("test_commands", "test_drift", "test_measure", "test_verify")

# The machines that a test has used, with the journal's end before it.
USED = pytest.StashKey[dict[str, tuple[Machine, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known also to a run that has no configuration file."""
    config.addinivalue_line("markers", "vm: boots virtual machines")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Divide the largest group, of which one worker alone would be busy longer than all others.

    The harness's own tests go first: they tell what a machine is like that has just booted.
    """
    items.sort(key=lambda item: "product" in item.path.parts)
    for item in items:
        if _groups(item) == {MOST} and item.path.stem in ON_SECOND:
            item.add_marker(pytest.mark.xdist_group(SECOND))


def _groups(item: pytest.Item) -> set[str]:
    return {mark.args[0] for mark in item.iter_markers("xdist_group")}


@pytest.fixture(scope="session")
def machines() -> Iterator[dict[str, Machine]]:
    """The machines that run in this session, by suite; each xdist worker has its own."""
    running: dict[str, Machine] = {}
    yield running
    for machine in running.values():
        machine.stop()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run have in common: the parent of each one's own."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if IS_WORKER else folder


@pytest.fixture(scope="session")
def claims(shared_folder: Path) -> Iterator[Callable[[str], None]]:
    """Claims a machine for this worker, and fails where another has it already.

    With pytest 9.2.0 pytest-xdist 3.8.0 forgets the groups without a word, and every worker boots
    every machine.
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
    """Why machines did not come up: to try again for each of their tests would take hours."""
    return {}


@pytest.fixture
def machine_for(
    machines: dict[str, Machine],
    claims: Callable[[str], None],
    broken: dict[str, Exception],
    request: pytest.FixtureRequest,
) -> Callable[[str], Machine]:
    """Give a test the running machine of a suite; it is booted when the first test asks for it."""
    used = request.node.stash.setdefault(USED, {})

    def get(suite: str) -> Machine:
        if suite in machines and not machines[suite].running:
            # Its end has failed a test; the next one gets another.
            machines.pop(suite).stop()
        if suite not in machines:
            if IS_WORKER:
                # It gets one group after another: what is done with would only take CPU time.
                for other in list(machines):
                    machines.pop(other).stop()
            claims("-".join([suite, *_groups(request.node) - {suite}]))
            if suite in broken:
                raise MachineGone(f"it did not come up for an earlier test: {broken[suite]}")
            try:
                machine = Machine(images.build(suite), memory_mb=MEMORY_MB)
                machine.start()
            except Exception as error:
                broken[suite] = error
                raise
            machines[suite] = machine
        if suite not in used:
            used[suite] = (machines[suite], machines[suite].journal_cursor())
        return machines[suite]

    return get


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add to a failed test what its machines said meanwhile."""
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
    except Exception as error:  # whatever it is, it must not hide the failure that is reported
        return f"not to be had: {error}"
    return "\n".join(_line(entry) for entry in entries)


def _line(entry: dict[str, Any]) -> str:
    seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return f"{seconds:.3f} {entry.get('SYSLOG_IDENTIFIER', '?')}: {entry.get('MESSAGE')}"
