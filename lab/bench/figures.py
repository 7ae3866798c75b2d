"""Makes figures from samples: percentiles, goals, cells of a table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A goal, its figure in a run, and whether it was met; None if it was not measured."""

    text: str
    figure: str
    met: bool | None

    @property
    def outcome(self) -> str:
        """The outcome in words."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def percentile(samples: Sequence[float | None], percent: float) -> float:
    """Return a percentile of samples; one that never came, None, is above all others."""
    ordered = sorted(float("inf") if one is None else one for one in samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(samples: Sequence[float | None]) -> float:
    """Return the 50th percentile."""
    return percentile(samples, 50)


def ratio(value: float, base: float) -> str:
    """Return how many times a base a value is."""
    return "never" if value == float("inf") else f"{value / base:.2f} ×"


def time(usec: float) -> str:
    """Return a duration as the text of a cell."""
    if usec == float("inf"):
        return "never"
    if usec >= 1e6:
        return f"{usec / 1e6:.2f} s"
    return f"{usec / 1000:.2f} ms" if usec >= 100 else f"{usec:.0f} µs"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"
