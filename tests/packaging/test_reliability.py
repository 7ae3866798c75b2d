"""The page about faults says what a run of the soak has seen."""

import json

from lab.soak import losses, page
from tests.packaging.conftest import ROOT


def test_the_page_says_what_was_seen():
    results = json.loads((ROOT / "docs" / "reliability.json").read_text())
    assert (ROOT / "docs" / "reliability.md").read_text() == page(results)
    assert [losses(life) for life in results["lives"]["rows"].values()] == [[], []]
