"""The figures in the documents are those that follow from the bench's samples."""

import json

import pytest

from lab.bench.figures import percentile
from lab.bench.page import page, summary, summary_in
from tests.packaging.conftest import ROOT


@pytest.fixture(scope="module")
def results():
    """Read the samples of the run that the documents describe."""
    return json.loads((ROOT / "docs" / "benchmarks.json").read_text())


def test_the_page_follows_from_the_samples(results):
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(results)


def test_the_readme_follows_from_the_samples(results):
    assert summary_in((ROOT / "README.md").read_text()) == summary(results)


def test_a_sample_that_never_came_is_above_all_others():
    assert percentile([3.0, None, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, None, 1.0, 2.0], 75) == 3.0
    assert percentile([3.0, None, 1.0, 2.0], 76) == float("inf")
    assert percentile([5.0], 99) == 5.0
