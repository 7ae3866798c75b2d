"""What all tests share."""

import os
import threading

import pytest

from tests.fakeroot import FakeRoot


@pytest.fixture
def root(tmp_path):
    """A fake root without ip_vs."""
    return FakeRoot(tmp_path / "root")


@pytest.fixture(autouse=True)
def nothing_left_over(request):
    """Every test gives back its descriptors and threads (the VM's own belong to its session)."""
    if request.node.get_closest_marker("vm"):
        yield
        return
    before = _descriptors(), threading.active_count()
    yield
    assert (_descriptors(), threading.active_count()) == before


def _descriptors():
    return len(os.listdir("/proc/self/fd"))
