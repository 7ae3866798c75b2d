"""Fixtures of the tests of single modules."""

import pytest

from ipvsd.system.event_loop import Loop


@pytest.fixture
def loop():
    made = Loop([])
    yield made
    made.close()
