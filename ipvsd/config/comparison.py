"""Knows the drop-in of `ipvsd measure --compare`, and the lock that says whether it counts.

A comparison holds the lock from before it writes the drop-in until after it has removed it. The
kernel gives the lock back however the comparison ends. So a drop-in that was left over by one that
was killed has no effect, and nobody has to remove it.
"""

from typing import Optional

from ipvsd.config import locks

DROP_IN = "95-measure.conf"  # after those of `ipvsd estimation`: the later one wins
_LOCK = ".measure.lock"
# The doctor and the daemon hold the lock for a moment when they look at it.
_WAIT_S = 1


def begin(folder: str) -> Optional[int]:
    """Return the descriptor of the lock, None if another comparison runs. Raises GuardError."""
    return locks.lock(folder, _LOCK, _WAIT_S)


def is_running(folder: str) -> Optional[bool]:
    """Return whether a comparison runs; None if that is unknown."""
    return locks.is_held(folder, _LOCK)
