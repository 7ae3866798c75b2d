"""Parses what the kernel writes about events of kprobes (pure)."""

import re
from typing import Iterable, Match, Tuple

# The beginning of a line of a trace: "comm-pid [cpu] flags seconds.micros: ", before "event: ...".
# Any user can choose the comm, but it has 16 columns, so that it cannot imitate the rest.
HEAD = (
    rb"(?P<comm>.{16})-(?P<pid>\d{1,10}) +(?:\([ \d-]+\) +)?\[(?P<cpu>\d{1,10})\] \S+ +"
    rb"(?P<seconds>\d{1,12})\.(?P<micros>\d{6}): "
)

# A line of kprobe_profile: name, hits, misses (Documentation/trace/kprobetrace.rst).
_PROFILE = re.compile(r"^ *(?P<name>\S+) +(?P<hits>\d{1,20}) +(?P<missed>\d{1,20}) *$", re.M | re.A)


def parse_profile(text: str, events: Iterable[str]) -> Tuple[int, int]:
    """Return how often these events were hit, and how many more hits the kernel missed."""
    names = {event.rpartition("/")[2] for event in events}
    rows = [row for row in _PROFILE.finditer(text) if row.group("name") in names]
    return sum(int(row.group("hits")) for row in rows), sum(
        int(row.group("missed")) for row in rows
    )


def time_ns(head: Match[bytes]) -> int:
    """Return the time in the head of a line: monotonic, to the microsecond."""
    return int(head.group("seconds")) * 10**9 + int(head.group("micros")) * 1000
