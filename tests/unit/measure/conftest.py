"""Fixtures of the tests of a measurement."""

import pytest

from ipvsd.measure import measurement
from tests.unit.measure.samples import COUNTS, HOST, PHASE


@pytest.fixture
def document():
    return measurement.document(HOST, COUNTS, [PHASE])
