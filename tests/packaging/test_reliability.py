"""The page about reliability follows from the results of a soak."""

import json

from lab.soak import losses, page
from tests.packaging.conftest import ROOT


def test_the_page_follows_from_the_results():
    results = json.loads((ROOT / "docs" / "reliability.json").read_text())
    assert (ROOT / "docs" / "reliability.md").read_text() == page(results)
    assert [losses(life) for life in results["lives"]["rows"].values()] == [[], []]
