"""Options and fixtures of all tests."""

import os
import threading

import pytest
from hypothesis import HealthCheck, settings

from tests.fakeroot import FakeRoot

# The time of one example proves nothing on a machine that also runs virtual machines.
settings.register_profile("ipvsd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ipvsd")


def pytest_addoption(parser):
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run also the tests marked as thorough: every kernel, and larger numbers",
    )
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped is a failure")


def pytest_collection_modifyitems(config, items):
    """Deselect the tests that only a thorough run makes."""
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_sessionfinish(session):
    """Fail the run with --no-skips if a test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def thorough(request):
    """Return whether this is a thorough run: larger numbers, the same assertions."""
    return request.config.getoption("--thorough")


@pytest.fixture
def root(tmp_path):
    """Make a fake root without ip_vs."""
    return FakeRoot(tmp_path / "root")


@pytest.fixture(autouse=True)
def nothing_left_over(request):
    """Check that each test leaves no descriptor, thread or mount, and the main thread at home.

    Mounts count below the folders of this run. Tests in VMs are exempt: their session closes them.
    """
    if request.node.get_closest_marker("vm"):
        yield
        return
    folder = str(request.getfixturevalue("tmp_path_factory").getbasetemp())
    before, open_before = _held(folder), _open()
    yield
    assert _held(folder) == before, f"opened: {_open() - open_before}"


def _open():
    """Return the descriptors of this process, each with what it leads to."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:  # of the listing itself
            continue
    return found


def _held(folder):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = sum(folder in line for line in file)
    descriptors = len(os.listdir("/proc/self/fd"))
    return descriptors, threading.active_count(), mounts, os.readlink("/proc/self/ns/net")
