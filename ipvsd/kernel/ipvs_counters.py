"""IPVS's counters of one namespace: those of single CPUs go on when estimation is off."""

import re
from typing import NamedTuple, Optional, Tuple

# net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_stats_percpu_show(): five numbers to the base of 16 behind
# the CPU's, also to the base of 16; the row "~" is the total that estimation makes.
_COLUMNS = 5
_TOTAL = "~"
_NUMBER = re.compile(r"[0-9A-Fa-f]{1,16}", re.ASCII)  # of 64 bits


class Counters(NamedTuple):
    """How much has been counted since the namespace or ip_vs came."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def plus(self, other: "Counters") -> "Counters":
        """Return the sum."""
        return Counters(*(one + another for one, another in zip(self, other)))

    def since(self, earlier: "Counters") -> "Counters":
        """Return what has been counted since an earlier reading; nothing if they began anew."""
        if any(now < then for now, then in zip(self, earlier)):
            return Counters()
        return Counters(*(now - then for now, then in zip(self, earlier)))


class Readout(NamedTuple):
    """One reading: the sum over all CPUs, and the total that stands still without estimation."""

    live: Counters
    estimated: Counters


class Rates(NamedTuple):
    """Counters a second."""

    connections: float = 0.0
    packets_in: float = 0.0
    packets_out: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0


def parse(text: str) -> Optional[Readout]:
    """Return what /proc/net/ip_vs_stats_percpu says, None if it says something else."""
    live, estimated = Counters(), None
    for line in text.splitlines():
        name, row = _row(line)
        if name == _TOTAL:
            estimated = row
        elif row is not None:
            live = live.plus(row)
        if estimated is not None:
            break  # what follows are rates
    return Readout(live, estimated) if estimated is not None else None


def rates(before: Counters, after: Counters, elapsed_ns: int) -> Rates:
    """Return how fast they grew between two readings."""
    grown = after.since(before)
    return Rates(*(number * 1e9 / max(1, elapsed_ns) for number in grown))


def _row(line: str) -> Tuple[str, Optional[Counters]]:
    words = line.split()
    if len(words) != _COLUMNS + 1:
        return "", None
    if not all(map(_NUMBER.fullmatch, words[1:])):
        return words[0], None
    return words[0], Counters(*(int(word, 16) for word in words[1:]))
