"""Fixtures of the tests with real namespaces."""

import os

import pytest

from tests.namespaces.holders import Holders


@pytest.fixture(autouse=True)
def root_rights():
    """Fail without root; a skipped test would prove nothing."""
    assert os.geteuid() == 0, "these tests make network namespaces and mounts: run them as root"


@pytest.fixture
def holders(tmp_path):
    made = Holders(tmp_path)
    yield made
    made.close()
