"""The document of a measurement: plain data, and a damaged one is refused."""

import json

import pytest

from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure import measurement, text_report
from ipvsd.measure.statistics import Phase
from ipvsd.model import NS_PER_S
from tests.unit.measure.samples import COUNTS, HOST, MS, PHASE


def test_the_document_is_plain_data_and_has_a_version(document):
    assert json.loads(json.dumps(document)) == document
    assert (document["version"], document["kind"]) == (1, "ipvsd measure")
    assert measurement.parse(json.dumps(document)) == document


def test_the_figures_of_a_document(document):
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
    assert working_runs["worst"] == working_runs["namespaces"][0]
    pings = phase["pings"]
    assert (pings["sent"], pings["lost"], pings["count"]) == (3, 1, 2)
    assert pings["during_passes"]["count"] == pings["apart_from_passes"]["count"] == 1
    (thread,) = phase["threads"]
    assert thread == {"name": "ipvs-e:0:0", "namespace": None, "run_usec": 5000, "share": 0.0005}
    assert phase["timeline_usec"]["passes"] == [[1000000, 4000], [3000000, 6000]]


def test_a_thread_is_of_the_host_where_that_is_known_and_otherwise_only_numbered():
    phase = PHASE._replace(threads={"ipvs-e:0:0": 5, "ipvs-e:3:0": 7, "ipvs-e:10:0": 9})
    for known, expected in (("ipvs-e:0:", ["host", None, None]), ("", [None] * 3)):
        document = measurement.document(HOST._replace(own_threads=known), COUNTS, [phase])
        assert [one["namespace"] for one in document["phases"][0]["threads"]] == expected
        text = "\n".join(text_report.lines(document, plain=True))
        assert ("ipvs-e:0:0 (host) " in text) is bool(known) and "ipvs-e:3:0 " in text
        assert measurement.parse(json.dumps(document)) == document


def test_a_figure_that_was_not_measured_is_null():
    document = measurement.document(HOST, COUNTS, [Phase("as found", 0, NS_PER_S)])
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
            json.dumps(dict(measurement.document(HOST, COUNTS, [PHASE]), phases=[{"name": 1}])),
            "is damaged",
        ),
    ],
)
def test_a_text_that_is_no_measurement_is_refused(why, text, words):
    with pytest.raises(ValueError, match=words):
        text_report.lines(measurement.parse(text), True)


def test_a_document_of_an_older_version_is_shown(document):
    (phase,) = document["phases"]
    del phase["passes"]["worst"], phase["cpu_busy"]
    del phase["pings"]["own_address"], phase["pings"]["discarded"]
    text = "\n".join(text_report.lines(measurement.parse(json.dumps(document)), True))
    assert "ms, host" in text


def test_the_worst_runs_may_be_in_a_namespace_that_is_unknown():
    runs = (EstimationRun(0, 9 * MS, 0, True), EstimationRun(0, MS, 0, True, 100))
    document = measurement.document(HOST, COUNTS, [PHASE._replace(runs=runs)])
    found = document["phases"][0]["passes"]
    assert found["worst"]["inode"] is None and found["worst"]["max_usec"] == 9000
    assert [one["inode"] for one in found["namespaces"]] == [100]
    assert "longest           9.0 ms\n" in "\n".join(text_report.lines(document, True))
