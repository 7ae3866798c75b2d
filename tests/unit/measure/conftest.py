"""What the tests of a measurement share."""

import pytest

from ipvsd.measure import measurement
from tests.unit.measure.samples import HOST, PHASE, SPACES


@pytest.fixture
def document():
    return measurement.document(HOST, SPACES, [PHASE])
