"""The doctor's findings about estimation that is on deliberately, and about a left comparison."""

import os

import pytest

from ipvsd.config import comparison
from ipvsd.doctor import check_estimation_on
from ipvsd.model import Exit
from ipvsd.text import iso_time
from tests.unit.doctor.findings import HINT
from tests.unit.doctor_host import RUN

HOUR_S = 3600
RUNTIME = "run/ipvs-estoff-guard.conf.d"
ON = f"[sysctl]\n{RUN} = 1\n"
WEB_ON = f"# x\n[sysctl name:web]\n{RUN} = 1\n"


def findings(host):
    """Return the findings about it, and the exit code."""
    code, document, _ = host.found()
    topic = check_estimation_on.TOPIC
    return [one for one in document["findings"] if one["topic"] == topic], code


def written(host, name, text, age_s):
    host.root.write(name, text)
    path = host.root.join(name)
    os.utime(path, (0, os.stat(path).st_mtime - age_s))
    return path


def test_a_host_where_it_is_off(host):
    host.root.configure(f"[sysctl]\n{RUN} = 0\n[sysctl name:x]\n{RUN} =\n")
    assert findings(host) == ([], Exit.AS_WANTED)


@pytest.mark.parametrize(
    "name",
    [f"{RUNTIME}/90-estimation.conf", "etc/ipvs-estoff-guard/conf.d/90-estimation.conf"],
)
@pytest.mark.parametrize("age_s, severity", [(HOUR_S, "hint"), (25 * HOUR_S, "warning")])
def test_a_switch_is_shown_with_its_age(host, name, age_s, severity):
    path = written(host, name, ON, age_s)
    (finding,), code = findings(host)
    since = iso_time(os.stat(path).st_mtime_ns)
    assert f"on by choice in all namespaces, since {since}" in finding["summary"]
    assert finding["evidence"] == [{"path": path, "line": 2, "text": f"{RUN} = 1"}]
    assert finding["advice"].endswith("ipvsd estimation off")
    assert (finding["severity"], code) == (severity, int(severity == "warning"))


def test_a_switch_for_a_time_is_no_warning_at_any_age(host):
    text = f"[until 2999-01-01T00:00:00Z]\n{ON}"
    path = written(host, f"{RUNTIME}/91-estimation-for.conf", text, 1000 * HOUR_S)
    (finding,), code = findings(host)
    assert (finding["severity"], code) == ("hint", Exit.AS_WANTED)
    assert finding["summary"].endswith(", until 2999-01-01T00:00:00.000Z")
    assert finding["evidence"] == [{"path": path, "line": 3, "text": f"{RUN} = 1"}]


def test_a_switch_for_some_namespaces(host):
    path = written(host, f"{RUNTIME}/90-estimation.conf", WEB_ON, HOUR_S)
    (finding,), _ = findings(host)
    assert "in the namespaces name:web" in finding["summary"]
    assert finding["evidence"][0]["path"] == path and finding["evidence"][0]["line"] == 3
    assert finding["advice"].endswith("ipvsd estimation off --namespace name:web")


@pytest.mark.parametrize("text, line", [(ON, 2), (WEB_ON, 3)])
def test_the_configuration_of_an_administrator_is_a_hint_at_any_age(host, text, line):
    path = written(host, "etc/ipvs-estoff-guard/guard.conf", text, 1000 * HOUR_S)
    (finding,), code = findings(host)
    assert (finding["severity"], code) == ("hint", Exit.AS_WANTED)
    assert "the file was last changed: 20" in finding["summary"]
    assert (finding["evidence"][0]["path"], finding["evidence"][0]["line"]) == (path, line)


@pytest.mark.parametrize("text", [ON, "# nothing\n"])
def test_a_comparison_that_was_killed_left_a_file_without_effect(host, text):
    path = written(host, f"{RUNTIME}/{comparison.DROP_IN}", text, HOUR_S)
    (finding,), code = findings(host)
    assert (finding["severity"], code) == ("hint", Exit.AS_WANTED)
    assert "left over" in finding["summary"] and "it has no effect" in finding["summary"]
    assert finding["advice"] == f"rm {path}"


def test_a_comparison_that_runs_is_a_hint(host):
    path = written(host, f"{RUNTIME}/{comparison.DROP_IN}", ON, HOUR_S)
    descriptor = comparison.begin(os.path.dirname(path))
    try:
        (finding,), code = findings(host)
    finally:
        os.close(descriptor)
    assert (finding["severity"], code) == ("hint", Exit.AS_WANTED)
    assert "while it measures" in finding["summary"]


def test_whether_it_runs_may_be_unknown():
    comparison = check_estimation_on.Comparison("/x", None)
    (finding,) = check_estimation_on.check([], comparison, 0)
    assert finding.severity is HINT and "cannot tell" in finding.summary
