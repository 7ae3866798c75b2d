"""Metrics and alert rules, as Prometheus's own tool sees them."""

import os
import subprocess

from ipvsd.core import metrics, report
from ipvsd.core.counters import Counters
from ipvsd.core.ledger import Memory
from ipvsd.core.metrics import Running
from tests.packaging.conftest import ROOT, run

RULES = ROOT / "packaging" / "prometheus" / "ipvs-estoff-guard.rules.yml"


def text():
    status = {
        "guard": "1.0",
        "mode": "enforce",
        "scope": "all",
        "module": "live",
        "states": {"off": 3, "to be changed": 1},
        "sources": {"births": "on", "mounts": 'no "such" \\ thing\n'},
        "canary": {"fixed_usec": 2500, "error": None, "time": "x"},
        "counters": report.counters(Memory(), 0),
    }
    return metrics.render(status, Running("6.1.0", "timer"), Counters(1, 2, 3, 4, 5))


def test_promtool_accepts_the_metrics():
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text().encode(), stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_promtool_runs_the_rules():
    run("promtool", "check", "rules", RULES)
    run("promtool", "test", "rules", ROOT / "tests" / "packaging" / "prometheus_rules_test.yml")


def test_the_rules_use_only_metrics_that_there_are():
    known = {line.split()[2] for line in text().splitlines() if line.startswith("# TYPE")}
    words = RULES.read_text().replace("{", " ").replace("[", " ").replace("(", " ").split()
    used = {word for word in words if word.startswith(metrics.PREFIX)}
    assert used and used <= known


def test_the_rules_are_shipped(built):
    listed = run("rpm", "-qpl", built.binary).splitlines()
    assert f"/usr/share/doc/ipvs-estoff-guard/{os.path.basename(RULES)}" in listed
