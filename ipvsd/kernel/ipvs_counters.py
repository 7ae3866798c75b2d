"""Parses the IPVS counters of one namespace, and computes rates (pure).

The counters of single CPUs stay live while estimation is off.
"""

import re
from typing import NamedTuple, Optional, Tuple

# net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_stats_percpu_show(): the number of the CPU, then five
# counters, all hexadecimal. The row "~" has the totals, which only estimation updates.
_COLUMNS = 5
_TOTAL = "~"
_NUMBER = re.compile(r"[0-9A-Fa-f]{1,16}", re.ASCII)  # of 64 bits


class Counters(NamedTuple):
    """The counts since ip_vs was loaded or the namespace was created."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def plus(self, other: "Counters") -> "Counters":
        """Return the sums of both counters."""
        return Counters(*(one + another for one, another in zip(self, other)))

    def reset_since(self, earlier: "Counters") -> bool:
        """Return whether a counter has been reset since an earlier reading."""
        return any(now < then for now, then in zip(self, earlier))

    def since(self, earlier: "Counters") -> "Counters":
        """Return the differences to an earlier reading; zeros if a counter has been reset."""
        if self.reset_since(earlier):
            return Counters()
        return Counters(*(now - then for now, then in zip(self, earlier)))


class Readout(NamedTuple):
    """One reading: the sums over all CPUs, and the totals that stand still without estimation."""

    live: Counters
    estimated: Counters


class Rates(NamedTuple):
    """Rates of the counters, per second."""

    connections: float = 0.0
    packets_in: float = 0.0
    packets_out: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0


def parse(text: str) -> Optional[Readout]:
    """Return the counters in /proc/net/ip_vs_stats_percpu, None if the text has another format."""
    live, estimated = Counters(), None
    for line in text.splitlines():
        name, row = _row(line)
        if name == _TOTAL:
            estimated = row
        elif row is not None:
            live = live.plus(row)
        if estimated is not None:
            break  # the lines that follow have rates
    return Readout(live, estimated) if estimated is not None else None


def rates(before: Counters, after: Counters, elapsed_ns: int) -> Rates:
    """Return how fast the counters grew between two readings."""
    grown = after.since(before)
    return Rates(*(number * 1e9 / max(1, elapsed_ns) for number in grown))


def _row(line: str) -> Tuple[str, Optional[Counters]]:
    words = line.split()
    if len(words) != _COLUMNS + 1:
        return "", None
    if not all(map(_NUMBER.fullmatch, words[1:])):
        return words[0], None
    return words[0], Counters(*(int(word, 16) for word in words[1:]))
