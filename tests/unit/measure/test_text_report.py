"""The text report of a measurement."""

import copy

from ipvsd.measure import measurement, text_report
from ipvsd.measure.statistics import Phase
from ipvsd.model import NS_PER_S
from tests.unit.measure.samples import HOST


def test_text(document):
    text = "\n".join(text_report.lines(document, True))
    assert "  1      3         6             10          2 us to 4 us" in text
    table = [line.split("  ", 1) for line in text.splitlines()]
    cells = {row[0]: row[1].strip() for row in table if len(row) == 2}
    assert cells["runs with work"] == "3"
    assert cells["CPU 1"] == "2, 0.08 %, longest 6.0 ms"
    assert cells["host"] == "2, 0.06 %, median 2.0 ms, longest 4.0 ms"
    assert "ended namespace" in cells
    assert "\n  median            2.0 ms, host\n  longest           4.0 ms, host\n" in text
    assert cells["round trips"] == "2, lost 1"
    assert cells["lost samples"] == "2"
    assert "\x1b" not in text and "\\x1b[2J" in text
    text.encode("ascii")


def test_text_of_what_was_not_measured():
    host = HOST._replace(module="absent", estimator=None, notes=("ip_vs is absent\n",))
    document = measurement.document(host, [], [Phase("as found", 0, NS_PER_S)])
    text = "\n".join(text_report.lines(document, True))
    assert "absent, estimates nothing" in text and "Note: ip_vs is absent\\n" in text


def test_before_and_after_stand_side_by_side(document):
    on, off = document["phases"][0], copy.deepcopy(document["phases"][0])
    on["name"], off["name"], off["passes"]["count"] = "on", "off", 0
    text = text_report.lines(dict(document, phases=[on, off]), True)
    (heading,) = [line for line in text if "ON" in line and "OFF" in line]
    (row,) = [line for line in text if line.startswith("runs with work")]
    assert row[heading.index("ON")] == "3" and row[heading.index("OFF")] == "0"
