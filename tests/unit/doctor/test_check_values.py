"""The doctor's findings about the values."""

import pytest

from ipvsd.doctor import (
    check_values,
)
from ipvsd.model import KeyStatus, State
from tests.builders import RUN
from tests.unit.doctor.findings import OK, PROBLEM, severities


@pytest.mark.parametrize(
    "state, mode, expected, words",
    [
        (State.AS_WANTED, None, [OK], "as wanted"),
        (State.ABSENT, None, [], ""),
        (State.UNSUPPORTED, None, [], ""),
        (State.DIFFERS, None, [PROBLEM], "ipvsd apply"),
        (State.DIFFERS, "observe", [PROBLEM], "enforce_share"),
    ],
)
def test_values(state, mode, expected, words):
    findings = check_values.check_values([KeyStatus(RUN, state, "1")], mode)
    assert severities(findings) == expected
    assert all(words in finding.summary + finding.advice for finding in findings)
