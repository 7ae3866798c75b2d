"""How figures are made of the bench's samples; and that those in the documents are such."""

import json

import pytest

from lab.bench.figures import percentile
from lab.bench.page import page, summary, summary_in
from tests.packaging.conftest import ROOT


@pytest.fixture(scope="module")
def results():
    """The samples of the run that the documents tell of."""
    return json.loads((ROOT / "docs" / "benchmarks.json").read_text())


def test_the_page_says_what_the_samples_say(results):
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(results)


def test_the_readme_says_what_the_samples_say(results):
    assert summary_in((ROOT / "README.md").read_text()) == summary(results)


def test_what_never_came_is_above_all():
    assert percentile([3.0, None, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, None, 1.0, 2.0], 75) == 3.0
    assert percentile([3.0, None, 1.0, 2.0], 76) == float("inf")
    assert percentile([5.0], 99) == 5.0
