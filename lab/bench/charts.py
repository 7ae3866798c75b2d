"""Draws the plots of a run of the bench."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

from . import page
from .contenders import REACTING

matplotlib.use("Agg")
# The same samples give the same file.
matplotlib.rcParams["svg.hashsalt"] = "ipvs-estoff-guard"
from matplotlib import pyplot  # noqa: E402 - only after use() has set that there is no display


def loads(results: page.Results, path: Path) -> None:
    """Draw for each contender the share of loads that were off within a time."""
    figure, axes = pyplot.subplots(1, 2, sharey=True, figsize=(9, 3.5))
    for axis, where in zip(axes, ("idle", "busy"), strict=True):
        for contender in REACTING:
            samples = page.off_usec(results["loads"], where, contender.name)
            there = sorted(usec / 1000 for usec in samples if usec is not None)
            shares = [100 * (number + 1) / len(samples) for number in range(len(there))]
            axis.step(there, shares, where="post", label=contender.name)
        axis.set_xscale("log")
        axis.set_xlabel("ms from the sysctl's appearance")
        axis.set_title(f"{where} machine")
        axis.grid(True, alpha=0.3)
    axes[0].set_ylabel("% of loads off")
    axes[0].legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def stall(run: dict[str, Any], path: Path, scratch: Path) -> None:
    """Draw a run as users do: with the command, from the saved file."""
    saved = scratch / "measured.json"
    saved.write_text(json.dumps(run))
    command = [sys.executable, "-m", "ipvsd", "measure", "--quiet", f"--show={saved}"]
    subprocess.run([*command, f"--plot={path}"], check=True)
