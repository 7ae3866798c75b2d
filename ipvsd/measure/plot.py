"""Draws a plot of a measurement, with matplotlib where it is installed."""

import os
from typing import Any, Dict, List, Optional, Tuple

from ipvsd.model import Exit, GuardError
from ipvsd.text import printable

SUFFIXES = (".svg", ".png")

# The same colours in each phase, whether or not there were any estimation runs.
_SERIES = (
    ("pings", "round trip", "tab:blue", "."),
    ("passes", "estimation run", "tab:red", "o"),
)
_USEC_PER_MS = 1000
_USEC_PER_S = 10**6
_INCHES = (9, 3)  # of one phase


def check(path: str) -> None:
    """Raise GuardError when the plot cannot be drawn; called before anything is measured."""
    if os.path.splitext(path)[1].lower() not in SUFFIXES:
        raise GuardError(
            f"--plot {printable(path)}: only {' and '.join(SUFFIXES)} can be written", Exit.USAGE
        )
    _pyplot()


def draw(document: Dict[str, Any], path: str) -> None:
    """Write the plot: one panel for each phase, all with the same scale. Raises GuardError."""
    pyplot = _pyplot()
    phases: List[Dict[str, Any]] = document["phases"]
    size = (_INCHES[0], _INCHES[1] * max(1, len(phases)))
    figure, axes = pyplot.subplots(
        max(1, len(phases)), 1, sharex=True, sharey=True, squeeze=False, figsize=size
    )
    for axis, phase in zip(axes[:, 0], phases):
        axis.set_title(_plain(phase["name"]))
        axis.set_ylabel("ms")
        for series, label, colour, marker in _SERIES:
            at_s, length_ms = _points(phase["timeline_usec"][series])
            axis.plot(at_s, length_ms, marker, color=colour, label=label)
        # Above the panel: inside, the legend would hide the highest points.
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=len(_SERIES), frameon=False)
        axis.grid(True, alpha=0.3)
    axes[-1, 0].set_xlabel("s")
    title = f"{document['host']}, kernel {document['kernel']}, {document['time']}"
    figure.suptitle(_plain(title))
    figure.tight_layout()
    try:
        figure.savefig(path)
    except OSError as error:
        raise GuardError(f"{printable(path)}: {error.strerror}", Exit.CANNOT_TELL) from error
    finally:
        pyplot.close(figure)


def _points(timeline: Optional[List[List[int]]]) -> Tuple[List[float], List[float]]:
    """Return times in seconds and durations in milliseconds; empty where nothing was measured."""
    points = timeline or []
    at_s = [at_usec / _USEC_PER_S for at_usec, _ in points]
    return at_s, [usec / _USEC_PER_MS for _, usec in points]


def _plain(text: str) -> str:
    """Return a text in which matplotlib sees no formula."""
    return printable(text).replace("$", r"\$")


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg")  # works without a display
        from matplotlib import pyplot
    except ImportError as error:
        message = f"--plot: needs matplotlib ({error}); install the package python3-matplotlib"
        raise GuardError(message, Exit.CANNOT_TELL) from error
    return pyplot
