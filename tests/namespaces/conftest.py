"""What the tests with real namespaces share."""

import os

import pytest

from ipvsd.kernel.netns_worker import NamespaceWorker
from tests.namespaces.holders import Holders


@pytest.fixture(autouse=True)
def root_rights():
    """Not skipped without root: what has not been tested is not known to work."""
    assert os.geteuid() == 0, "these tests make network namespaces and mounts: run them as root"


@pytest.fixture
def holders(tmp_path):
    made = Holders(tmp_path)
    yield made
    made.close()


@pytest.fixture
def worker():
    made = NamespaceWorker()
    yield made
    made.close()
