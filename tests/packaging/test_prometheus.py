"""Metrics and alert rules, checked by Prometheus's own tool."""

import os
import re
import subprocess

from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import Namespace
from ipvsd.status import metrics
from ipvsd.status.metrics import Running, Traffic
from tests.packaging.conftest import ROOT, run
from tests.status_document import STATUS

RULES = ROOT / "packaging" / "prometheus" / "ipvs-estoff-guard.rules.yml"
COUNTERS = Counters(1, 2, 3, 4, 5)


def text():
    chosen = {"selector": "name:web", "file": "/a.conf", "line": 2, "changed_usec": 1}
    others = [Traffic(Namespace(4, n, name), n, COUNTERS) for n, name in enumerate(["a", "a", "b"])]
    status = dict(STATUS, chosen_on=[chosen])
    return metrics.render(status, Running("6.1.0", "timer"), COUNTERS, others)


def test_promtool_accepts_the_metrics():
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text().encode(), stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_promtool_runs_the_rules():
    run("promtool", "check", "rules", RULES)
    run("promtool", "test", "rules", ROOT / "tests" / "packaging" / "prometheus_rules_test.yml")


def test_the_rules_use_only_metrics_that_exist():
    known = {line.split()[2] for line in text().splitlines() if line.startswith("# TYPE")}
    used = set(re.findall(rf"{metrics.PREFIX}_\w+", RULES.read_text()))
    assert used and used <= known


def test_the_rules_are_shipped(built):
    listed = run("rpm", "-qpl", built.binary).splitlines()
    assert f"/usr/share/doc/ipvs-estoff-guard/{os.path.basename(RULES)}" in listed
