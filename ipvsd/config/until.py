"""Reads and writes the time in a section [until TIME] (pure)."""

import re

from ipvsd.model import NS_PER_S

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)


def parse(text: str) -> int:
    """Return nanoseconds since the epoch. Raises ValueError with a reason."""
    import datetime  # slow to import, and seldom needed

    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("is not a time such as 2026-12-01T06:00:00Z (UTC)")
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError as error:
        raise ValueError(f"is no time: {error}") from error
    epoch = datetime.datetime(1970, 1, 1)
    return (moment - epoch) // datetime.timedelta(seconds=1) * NS_PER_S


def render(wall_ns: int) -> str:
    """Write nanoseconds since the epoch, rounded up to a second."""
    import datetime

    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=-(-wall_ns // NS_PER_S))
    return moment.isoformat() + "Z"
