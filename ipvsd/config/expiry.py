"""Finds out whether a part of the running configuration has ended by itself."""

import time
from typing import Optional

from ipvsd.config import comparison, until
from ipvsd.config.files import Places
from ipvsd.config.parser import Config
from ipvsd.model import NS_PER_S

# A comparison takes a minute or so, and nothing but looking shows that it was killed.
_LOOK_NS = NS_PER_S
# A configuration that was refused is read again after this time.
_REFUSED_NS = 300 * NS_PER_S


def ended(config: Config, places: Places) -> str:
    """Return why the configuration has to be read again; empty if it has not."""
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


def retried(config: Config, places: Places) -> Config:
    """Return the running configuration after a new one was refused: its end comes later."""
    if not ended(config, places):
        return config
    return config._replace(until_ns=_wall_ns() + _REFUSED_NS, compares=False)


def _wall_ns() -> int:
    return int(time.time() * NS_PER_S)
