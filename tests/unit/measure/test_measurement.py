"""The document of a measurement, its text, and its charts."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.measure import measurement, text_report
from ipvsd.measure.measurement import Host
from ipvsd.measure.statistics import Phase, Pings, Probe, ServiceCount
from ipvsd.measure.text_chart import Size, can_blocks, chart
from ipvsd.model import NS_PER_MS, NS_PER_S, EstimationRun, Namespace

MS = NS_PER_MS
HOST = Host("node", "6.1.0", "2026-11-24T00:00:00.000Z", "live", "timer", 8, "10.0.0.1", ())
SPACES = (
    ServiceCount(Namespace(4, 100, "host"), "1", 3, 6),
    ServiceCount(Namespace(4, 200, "lb_\x1b[2J"), None, None, None),
)
SAMPLES = (
    EstimationRun(1 * NS_PER_S, 4 * MS, 0, True, 100),
    EstimationRun(3 * NS_PER_S, 2 * MS, 1, True, 100),
    EstimationRun(3 * NS_PER_S, 6 * MS, 1, True, 300),
    EstimationRun(4 * NS_PER_S, 1000, 1, False, 200),
)
PINGS = Pings((Probe(NS_PER_S, 5 * MS), Probe(2 * NS_PER_S, MS)), 3)
PHASE = Phase("as found", 0, 10 * NS_PER_S, SAMPLES, 2, {"ipvs-e:0:0": 5 * MS}, PINGS)


@pytest.fixture
def document():
    return measurement.document(HOST, SPACES, [PHASE])


def test_the_document_is_plain_data_and_has_a_version(document):
    assert json.loads(json.dumps(document)) == document
    assert (document["version"], document["kind"]) == (1, "ipvsd measure")
    assert measurement.parse(json.dumps(document)) == document


def test_what_is_counted(document):
    host, other = document["namespaces"]
    assert (host["estimators"], host["predicted_usec"]) == (10, [2, 4])
    assert other["estimators"] is other["predicted_usec"] is None
    (phase,) = document["phases"]
    working_runs = phase["passes"]
    assert (working_runs["count"], working_runs["without_work"], working_runs["lost"]) == (3, 1, 2)
    assert (working_runs["median_usec"], working_runs["max_usec"], working_runs["sum_usec"]) == (
        4000,
        6000,
        12000,
    )
    assert working_runs["share"] == 0.0012
    assert [(cpu["cpu"], cpu["count"]) for cpu in working_runs["cpus"]] == [(0, 1), (1, 2)]
    assert [(one["name"], one["inode"]) for one in working_runs["namespaces"]] in (
        [("host", 100), (None, 300)],
        [(None, 300), ("host", 100)],
    )
    pings = phase["pings"]
    assert (pings["sent"], pings["lost"], pings["count"]) == (3, 1, 2)
    assert pings["during_passes"]["count"] == pings["apart_from_passes"]["count"] == 1
    assert phase["threads"] == [{"name": "ipvs-e:0:0", "run_usec": 5000, "share": 0.0005}]
    assert phase["timeline_usec"]["passes"] == [[1000000, 4000], [3000000, 6000]]


def test_what_was_not_measured_is_null():
    document = measurement.document(HOST, SPACES, [Phase("as found", 0, NS_PER_S)])
    (phase,) = document["phases"]
    assert phase["passes"] is phase["pings"] is phase["threads"] is None
    assert phase["timeline_usec"] == {"passes": None, "pings": None}
    assert document["verdict"] == []


@pytest.mark.parametrize(
    "why, text, words",
    [
        ("no JSON", "]", "is not JSON"),
        ("a list", "[]", "is not a JSON object"),
        ("another document", "{}", "was not written by"),
        ("of another version", '{"kind": "ipvsd measure", "version": 9}', "has version 9"),
        ("broken inside", '{"kind": "ipvsd measure", "version": 1}', "is damaged"),
        (
            "broken deep inside",
            json.dumps(dict(measurement.document(HOST, SPACES, [PHASE]), phases=[{"name": 1}])),
            "is damaged",
        ),
    ],
)
def test_what_is_no_measurement_is_refused(why, text, words):
    with pytest.raises(ValueError, match=words):
        text_report.lines(measurement.parse(text), True)


def test_text(document):
    text = "\n".join(text_report.lines(document, True))
    assert "  1      3         6             10          2 us to 4 us" in text
    table = [line.split("  ", 1) for line in text.splitlines()]
    cells = {row[0]: row[1].strip() for row in table if len(row) == 2}
    assert cells["passes with work"] == "3"
    assert cells["CPU 1"] == "2, 0.08 %, longest 6.0 ms"
    assert cells["host"] == "2, 0.06 %, longest 4.0 ms" and "a namespace that is gone" in cells
    assert cells["round trips"] == "2, lost 1"
    assert cells["not seen"] == "2"
    assert "\x1b" not in text and "\\x1b[2J" in text
    text.encode("ascii")


def test_text_of_what_was_not_measured():
    host = HOST._replace(module="absent", estimator=None, notes=("ip_vs is absent\n",))
    document = measurement.document(host, [], [Phase("as found", 0, NS_PER_S)])
    text = "\n".join(text_report.lines(document, True))
    assert "estimates in nothing" in text and "Note: ip_vs is absent\\n" in text


def test_before_and_after_stand_side_by_side(document):
    on, off = document["phases"][0], copy.deepcopy(document["phases"][0])
    on["name"], off["name"], off["passes"]["count"] = "on", "off", 0
    text = text_report.lines(dict(document, phases=[on, off]), True)
    (heading,) = [line for line in text if "ON" in line and "OFF" in line]
    (row,) = [line for line in text if line.startswith("passes with work")]
    assert row[heading.index("ON")] == "3" and row[heading.index("OFF")] == "0"


@pytest.mark.parametrize(
    "why, points, expected",
    [
        ("nothing", [], ["|", "|"]),
        ("full height", [(0, 8)], ["||", "||"]),
        ("half", [(0, 4)], ["|", "||"]),
        ("what is there is seen", [(99, 1)], ["|", "|   ."]),
        ("above the top, and late", [(500, 99)], ["|   |", "|   |"]),
        ("zero is nothing", [(0, 0)], ["|", "|"]),
    ],
)
def test_chart(why, points, expected):
    assert chart(points, 100, 8, Size(4, 2), plain=True) == expected, why


@given(st.lists(st.tuples(st.integers(-5, 300), st.integers(-5, 300))), st.booleans())
def test_a_chart_never_leaves_its_frame(points, plain):
    rows = chart(points, 100, 50, Size(10, 3), plain)
    assert len(rows) == 3 and all(len(row) <= 11 for row in rows)


@pytest.mark.parametrize(
    "encoding, can", [("utf-8", True), ("ascii", False), ("latin-1", False), ("no such", False)]
)
def test_which_terminals_have_blocks(encoding, can):
    assert can_blocks(encoding) is can
