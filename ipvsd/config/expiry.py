"""Finds out whether a part of the running configuration has ended by itself, and drops it.

An end needs no file: it takes place also while a file is wrong, and a file that an administrator
is editing takes no effect at such a moment.
"""

import os
import time
from typing import Optional

from ipvsd.config import comparison, until
from ipvsd.config.files import Places
from ipvsd.config.parser import Config, parse
from ipvsd.model import NS_PER_S

# A comparison takes a minute or so, and nothing but looking shows that it was killed.
_LOOK_NS = NS_PER_S
_NEVER_NS = 1 << 80  # later than any [until TIME]


def ended(config: Config, places: Places) -> str:
    """Return which part of the configuration has ended, in words; empty for none."""
    if config.until_ns is not None and _wall_ns() >= config.until_ns:
        return f"[until {until.render(config.until_ns)}] is over"
    if config.compares and comparison.is_running(places.runtime or "") is False:
        return "a comparison was killed, its drop-in no longer counts"
    return ""


def left_ns(config: Config) -> Optional[int]:
    """Return in how many nanoseconds to call ended() at the latest; None for never."""
    moments = [] if config.until_ns is None else [max(0, config.until_ns - _wall_ns())]
    moments += [_LOOK_NS] if config.compares else []
    return min(moments, default=None)


def rest(config: Config, places: Places) -> Config:
    """Return the running configuration without what has ended.

    What was over before stays over if the clock was set back since: its values were not checked.
    """
    compared = os.path.join(places.runtime or "", comparison.DROP_IN)
    compares = config.compares and comparison.is_running(places.runtime or "") is not False
    sources = [one for one in config.sources if compares or one.path != compared]
    known_ns = _NEVER_NS if config.until_ns is None else config.until_ns - 1
    left = parse(sources, max(_wall_ns(), known_ns), config.machine_id)
    return left._replace(warnings=config.warnings, compares=compares)


def _wall_ns() -> int:
    return int(time.time() * NS_PER_S)
