"""What all tests share."""

import os
import threading

import pytest
from hypothesis import HealthCheck, settings

from tests.fakeroot import FakeRoot

# How long an example takes says nothing on a machine that is busy with virtual ones.
settings.register_profile("ipvsd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ipvsd")


def pytest_addoption(parser):
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run too what is marked as thorough: every kernel, and larger numbers",
    )
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped is a failure")


def pytest_collection_modifyitems(config, items):
    """Leave out, and count as deselected, what only a thorough run is for."""
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_sessionfinish(session):
    """What has not been tested is not known to work."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def thorough(request):
    """Whether this is a thorough run: then numbers are larger, and the statements the same."""
    return request.config.getoption("--thorough")


@pytest.fixture
def root(tmp_path):
    """A fake root without ip_vs."""
    return FakeRoot(tmp_path / "root")


@pytest.fixture(autouse=True)
def nothing_left_over(request):
    """Every test gives back what it takes (the VM's own belong to its session).

    Descriptors, threads, mounts below the folders of this run; and the main thread stays at home.
    """
    if request.node.get_closest_marker("vm"):
        yield
        return
    folder = str(request.getfixturevalue("tmp_path_factory").getbasetemp())
    before = _held(folder)
    yield
    assert _held(folder) == before


def _held(folder):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = sum(folder in line for line in file)
    descriptors = len(os.listdir("/proc/self/fd"))
    return descriptors, threading.active_count(), mounts, os.readlink("/proc/self/ns/net")
