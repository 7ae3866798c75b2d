"""Metrics and alert rules, checked by Prometheus's own tool."""

import json
import os
import re
import subprocess

from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import Mode, Namespace
from ipvsd.status import metrics
from ipvsd.status.metrics import Running, Traffic
from lab import dashboard
from tests.packaging.conftest import ROOT, run
from tests.status_document import STATUS

RULES = ROOT / "packaging" / "prometheus" / "ipvs-estoff-guard.rules.yml"
COUNTERS = Counters(1, 2, 3, 4, 5)


# All parts that may be missing are there.
COST = {
    "resident_bytes": 1,
    "pss_bytes": 2,
    "cpu_share": 0.1,
    "cpu_share_last_minute": 0.1,
    "descriptors": 3,
    "threads": 1,
    "processes": 2,
}


def text():
    chosen = {"selector": "name:web", "file": "/a.conf", "line": 2, "changed_usec": 1}
    others = [Traffic(Namespace(4, n, name), n, COUNTERS) for n, name in enumerate(["a", "a", "b"])]
    share = {"ratio": 0.1, "place": 0.5, "origin": "a"}
    counters = dict(STATUS["counters"], writes={"load": 1})
    status = dict(STATUS, chosen_on=[chosen], cost=COST, enforce_share=share, counters=counters)
    return metrics.render(status, Running("6.1.0", "timer"), COUNTERS, others)


def test_promtool_accepts_the_metrics():
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text().encode(), stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_promtool_runs_the_rules():
    run("promtool", "check", "rules", RULES)
    run("promtool", "test", "rules", ROOT / "tests" / "packaging" / "prometheus_rules_test.yml")


def labels():
    """Return the values of each label of each metric that exists, as the guard writes them."""
    found = {}
    for name, inside in re.findall(rf"(?m)^({metrics.PREFIX}\w+)(?:{{(.*)}})? ", text()):
        known = found.setdefault(name, {"instance": set()})
        for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', inside):
            known.setdefault(label, set()).add(value)
    return found


def recorded():
    return set(re.findall(r"(?m)^ +- record: (\S+)$", RULES.read_text()))


def unknown(expr):
    """Return the metrics of an expression, and the values of its labels, that do not exist."""
    known, rules = labels(), recorded()
    found = []
    for name, inside in re.findall(r"([\w:]*ipvs_estoff_guard[\w:]*)(?:{([^}]*)})?", expr):
        if name not in known and name not in rules:
            found.append(name)
        for label, text in re.findall(r'(\w+)=~?"([^"]*)"', inside):
            # The rules of the guard keep these labels.
            kept = known.get(name, {"mode": set()})
            values = {"mode": {mode.value for mode in Mode}}.get(label, kept.get(label))
            if values is None or not set(text.split("|")) <= values:
                found.append(f'{name}{{{label}="{text}"}}')
    return found


def test_the_rules_use_only_metrics_that_exist():
    exprs = re.findall(
        r"(?ms)^ +expr: (?:>-\n)?(.*?)(?=^ +(?:for|labels|annotations|-) ?|^$|\Z)",
        RULES.read_text(),
    )
    assert len(exprs) > 10 and [unknown(expr) for expr in exprs] == [[]] * len(exprs)


def test_the_dashboard_uses_only_metrics_that_exist():
    exprs = [query.expr for query in dashboard.queries()]
    assert len(exprs) > 20 and [unknown(expr) for expr in exprs] == [[]] * len(exprs)


def test_what_does_not_exist_is_found():
    bad = f'sum({metrics.PREFIX}_nothing) + {metrics.PREFIX}_namespaces{{state="of"}}'
    assert unknown(bad) == [
        "ipvs_estoff_guard_nothing",
        'ipvs_estoff_guard_namespaces{state="of"}',
    ]


def test_promtool_parses_each_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"query:{number}:x", "expr": query.expr}
        for number, query in enumerate(dashboard.queries())
    ]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run("promtool", "check", "rules", path)


def test_every_panel_has_a_place_of_its_own_and_a_description():
    panels = json.loads(dashboard.DASHBOARD.read_text())["panels"]
    cells = [
        (column, row)
        for place in (panel["gridPos"] for panel in panels)
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(column for column, _ in cells) < 24
    assert all(panel["description"].endswith(".") for panel in panels)


def test_the_rules_are_shipped(built):
    listed = run("rpm", "-qpl", built.binary).splitlines()
    for path in (RULES, dashboard.DASHBOARD):
        assert f"/usr/share/doc/ipvs-estoff-guard/{os.path.basename(path)}" in listed
