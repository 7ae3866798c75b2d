"""Fixtures of the tests of the commands."""

import pytest

from tests.fakeroot import FakeRoot


@pytest.fixture(scope="session")
def loaded_root(tmp_path_factory):
    made = FakeRoot(tmp_path_factory.mktemp("output") / "root")
    made.load_ip_vs(run_estimation="0")
    return made.path
