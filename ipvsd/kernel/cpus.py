"""The CPUs that may ever be there: estimation reads the counters of each, present or not."""

import os
from typing import Optional

_POSSIBLE = "sys/devices/system/cpu/possible"


def possible(root: str = "/") -> Optional[int]:
    """Return how many CPUs are possible, None where the kernel does not tell."""
    try:
        with open(os.path.join(root, _POSSIBLE), encoding="ascii") as file:
            return parse(file.read())
    except (OSError, ValueError):
        return None


def parse(text: str) -> int:
    """Return how many numbers a list such as `0-3,8` has. Raises ValueError."""
    count = 0
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        count += int(last) - int(first) + 1 if dash else len([int(first)])
    return count
