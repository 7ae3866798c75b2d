"""Plots of a measurement, drawn in another process: matplotlib keeps descriptors open."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure import measurement
from ipvsd.measure.statistics import Phase, Pings, Probe, ServiceCount
from ipvsd.model import NS_PER_MS, NS_PER_S, Namespace

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST = measurement.Host("$no$de", "6.1", "now", "live", "timer", 2, None, ())


def phase(name, working_runs=()):
    pings = Pings((Probe(0, NS_PER_MS), Probe(NS_PER_S, 7 * NS_PER_MS)), 3)
    return Phase(name, 0, 2 * NS_PER_S, working_runs, pings=pings)


PHASES = {
    "three": [
        phase("on", (EstimationRun(NS_PER_S, 4 * NS_PER_MS, 0),)),
        phase("off"),
        phase("off again"),
    ],
    "one": [phase("as found")],
    "none": [],
}


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("suffix, begin", [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_plot_is_drawn_or_its_absence_explained(tmp_path, phases, suffix, begin):
    saved, drawn = tmp_path / "saved.json", tmp_path / f"plot.{suffix}"
    counts = [ServiceCount(Namespace(4, 7, "host"), "1", 1, 1)]
    saved.write_text(json.dumps(measurement.document(HOST, counts, PHASES[phases])))
    command = [sys.executable, "-m", "ipvsd", "measure", "--show", str(saved)]
    done = subprocess.run(
        [*command, "--plot", str(drawn), "--quiet"],
        env=dict(os.environ, PYTHONPATH=HOME, MPLCONFIGDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    if importlib.util.find_spec("matplotlib") is None:
        assert done.returncode == 5 and "python3-matplotlib" in done.stderr
        return
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert drawn.read_bytes().startswith(begin)
    if suffix == "svg":
        text = drawn.read_text()
        assert all(one.name in text for one in PHASES[phases])
