"""Which value the kernel takes from a text; tests/namespaces asks the kernel itself."""

import pytest

from ipvsd.config.sysctl_values import TREE
from ipvsd.doctor.written_value import taken
from tests.unit.doctor.written_texts import TEXTS


@pytest.mark.parametrize("text, expected", TEXTS)
def test_integers(text, expected):
    assert taken(TREE + "run_estimation", text) == expected


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("sync_threshold", "3 50", "3 50"),
        ("sync_threshold", "3\t0x10 # text", "3 16"),
        ("sync_threshold", "3 50;", "3"),
        ("est_cpulist", " 0-3,8 ", "0-3,8"),
    ],
)
def test_other_keys(name, text, expected):
    assert taken(TREE + name, text) == expected
