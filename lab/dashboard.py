"""`make dashboard`: runs Prometheus beside the guard in a VM, and draws what the dashboard shows.

Grafana itself is not among Debian's packages: the queries are those of the dashboard, and the
picture is ours.
"""

import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import dashboard_picture
from lab.dashboard_picture import Query
from tests.vm import images, repository
from tests.vm.guarded import FILE, SERVICE, Guarded
from tests.vm.machine import Machine
from tests.vm.spaces import Spaces

HOME = Path(__file__).resolve().parents[1]
FOLDER = HOME / "packaging" / "prometheus"
DASHBOARD = FOLDER / "ipvs-estoff-guard.dashboard.json"
RULES = FOLDER / "ipvs-estoff-guard.rules.yml"
PICTURE = HOME / "docs" / "dashboard.svg"

SUITE, PACKAGES = "trixie", ("prometheus", "prometheus-node-exporter", "curl")
TEXTFILE = "/var/lib/prometheus/node-exporter/ipvs-estoff-guard.prom"
SCRAPE_S = 5  # node_exporter takes a second or two, emulated
PROMETHEUS = f"""
global: {{scrape_interval: {SCRAPE_S}s, evaluation_interval: {SCRAPE_S}s}}
rule_files: [/etc/prometheus/guard.rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["localhost:9100"]}}]
"""
URL = "http://localhost:9090/api/v1"
# For Grafana's variable. It is four times the interval between two scrapes there too.
RATE_INTERVAL = f"{4 * SCRAPE_S}s"
# Somebody who keeps switching estimation on.
CONTEST = f"while :; do echo 1 >{FILE}; sleep 0.05; done"


def queries() -> Iterator[Query]:
    """Yield the queries of the dashboard, panel by panel."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        columns = _columns(panel)
        for target in panel["targets"]:
            legend = columns.get(target["refId"], target.get("legendFormat", ""))
            expr = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            unit = panel["fieldConfig"]["defaults"].get("unit", "")
            yield Query(panel["title"], panel["type"], unit, legend, expr)


def _columns(panel: dict[str, Any]) -> dict[str, str]:
    for step in panel.get("transformations", []):
        if step["id"] == "organize":
            renamed = step["options"]["renameByName"]
            return {name.removeprefix("Value #"): title for name, title in renamed.items()}
    return {}


class Prometheus:
    """Prometheus in a guest, which reads what the guard writes there."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @staticmethod
    def config() -> dict[str, str]:
        """Return the files of the guest; alerts wait for seconds only, not for minutes."""
        rules = re.sub(r"(?m)^( +for:) .*$", rf"\1 {SCRAPE_S}s", RULES.read_text())
        return {
            "/etc/prometheus/prometheus.yml": PROMETHEUS,
            "/etc/prometheus/guard.rules.yml": rules,
        }

    def start(self) -> None:
        """Start both services with these files."""
        for path, text in self.config().items():
            self._machine.succeed(f"cat >{path}", input=text.encode())
        self._machine.succeed("systemctl restart prometheus-node-exporter prometheus")
        self._machine.wait_until_succeeds(f"curl --fail --silent {URL}/query?query=up", timeout=120)

    def ask(self, path: str, query: str = "", **fields: str) -> Any:
        """Return the data of an answer of the API."""
        words = " ".join(f"--data {name}={value}" for name, value in fields.items())
        command = f"curl --silent --get --data-urlencode query@- {words} {URL}/{path}"
        return json.loads(self._machine.succeed(command, input=query.encode()))["data"]

    def values(self, expr: str) -> list[float]:
        """Return the values that a query gives now, without those that are no number."""
        found = [float(one["value"][1]) for one in self.ask("query", expr)["result"]]
        return [number for number in found if not math.isnan(number)]

    def series(self, expr: str, seconds: float) -> dict[str, list[tuple[float, float]]]:
        """Return the points of each series in the last seconds, by the labels in words."""
        end = float(self._machine.succeed("date +%s"))
        fields = {"start": f"{end - seconds}", "end": f"{end}", "step": f"{SCRAPE_S}s"}
        return {
            " ".join(
                value for name, value in sorted(one["metric"].items()) if name != "__name__"
            ): [(at - end, float(value)) for at, value in one["values"]]
            for one in self.ask("query_range", expr, **fields)["result"]
        }

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


@contextmanager
def guarded_host() -> Iterator[tuple[Guarded, Prometheus]]:
    """Start a machine with the guard and Prometheus, in which both see each other."""
    with Machine(images.build(SUITE, *PACKAGES)) as machine:
        host = Guarded(machine)
        host.install(repository.build())
        host.configure(f"[guard]\nresync = 1s\n[metrics]\ntextfile = {TEXTFILE}\n")
        host.succeed(f"systemctl restart {SERVICE}")
        prometheus = Prometheus(machine)
        prometheus.start()
        yield host, prometheus


def live(host: Guarded, spaces: Spaces) -> None:
    """Have the host do what all panels show: loads, births, and traffic that goes on."""
    host.load()
    host.serve()
    spaces.background(host.traffic_loop)
    for name in ("web", "db"):
        spaces.named(name)
    spaces.wait_for("0")


def main() -> None:
    """Let a host live for some minutes, in one of them contested, and draw the panels."""
    with guarded_host() as (host, prometheus):
        spaces = Spaces(host.machine)
        began = time.monotonic()
        live(host, spaces)
        time.sleep(60)
        contest = spaces.background(CONTEST)
        time.sleep(30)
        host.succeed(f"systemctl stop {contest}")
        for number in range(20):
            spaces.named(f"pod{number}")
            time.sleep(2)
        time.sleep(30)
        seconds = time.monotonic() - began
        shown = [(query, prometheus.series(query.expr, seconds)) for query in queries()]
        silent = [query for query, series in shown if not series]
        if silent:
            raise RuntimeError(f"Prometheus has no data for {silent}")
        dashboard_picture.draw(shown, PICTURE, seconds, host.kernel())
    print(PICTURE)


if __name__ == "__main__":
    main()
