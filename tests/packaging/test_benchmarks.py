"""docs/benchmarks.md says what the samples beside it say."""

import json

from tests.packaging.conftest import ROOT
from tests.vm.bench.figures import percentile
from tests.vm.bench.page import page

DOCS = ROOT / "docs"


def test_the_page_is_that_of_the_samples():
    samples = json.loads((DOCS / "benchmarks.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == page(samples)


def test_what_never_came_is_above_all():
    assert percentile([3.0, None, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, None, 1.0, 2.0], 75) == 3.0
    assert percentile([3.0, None, 1.0, 2.0], 76) == float("inf")
    assert percentile([5.0], 99) == 5.0
