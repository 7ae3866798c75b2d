"""What all tests share."""

import os
import threading

import pytest
from hypothesis import HealthCheck, settings

from tests.fakeroot import FakeRoot

# How long an example takes says nothing on a machine that is busy with virtual ones.
settings.register_profile("ipvsd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ipvsd")


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
