"""Reads how busy each CPU has been since boot, from /proc/stat (acts)."""

import os
import re
from typing import Dict, NamedTuple

# "cpu0 user nice system idle iowait irq softirq steal guest guest_nice", proc(5). The guests' time
# is part of user and nice. Kernels before 2.6.11 lack steal.
_CPU = re.compile(r"^cpu(?P<cpu>\d{1,5})(?P<ticks>(?: \d{1,20}){7,8})", re.M | re.ASCII)
_IDLE = slice(3, 5)


class CpuTime(NamedTuple):
    """The time of one CPU, in clock ticks."""

    busy: int
    total: int


def read(root: str) -> Dict[int, CpuTime]:
    """Return the time of each CPU that is online; empty where that is unknown."""
    try:
        with open(os.path.join(root, "proc/stat"), encoding="ascii", errors="replace") as file:
            return parse(file.read())
    except OSError:
        return {}


def parse(text: str) -> Dict[int, CpuTime]:
    """Return the time of each CPU in the text of /proc/stat."""
    times = {}
    for match in _CPU.finditer(text):
        ticks = [int(word) for word in match.group("ticks").split()]
        times[int(match.group("cpu"))] = CpuTime(sum(ticks) - sum(ticks[_IDLE]), sum(ticks))
    return times


def busy_shares(before: Dict[int, CpuTime], after: Dict[int, CpuTime]) -> Dict[int, float]:
    """Return the share of the time between two readings in which each CPU was busy.

    The counters of a CPU that goes offline may go back; such a CPU is left out.
    """
    shares = {}
    for cpu in before.keys() & after.keys():
        total = after[cpu].total - before[cpu].total
        busy = after[cpu].busy - before[cpu].busy
        if 0 <= busy <= total and total > 0:
            shares[cpu] = busy / total
    return shares
