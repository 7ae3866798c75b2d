"""The page about kernels follows from what was measured, and has every test machine."""

import json

from lab.kernels import CASES, LOADS, page
from tests.packaging.conftest import ROOT
from tests.vm.images import SUITES

RESULTS = json.loads((ROOT / "docs" / "kernels.json").read_text())


def test_the_page_follows_from_the_results():
    assert (ROOT / "docs" / "kernels.md").read_text() == page(RESULTS)


def test_every_machine_was_measured_with_as_many_loads_as_the_page_says():
    assert list(RESULTS) == [case.name for case in CASES]
    assert {case.suite for case in CASES} == set(SUITES)
    for case in CASES:
        assert RESULTS[case.name]["loads"] == (LOADS if case.switched else 0), case.name


def test_no_run_leaked():
    measured = [one for one in RESULTS.values() if one["loads"]]
    assert [one["leaked"] for one in measured] == [0] * len(measured)
