"""Draws a chart for a terminal: columns over time, each with the largest value in it (pure)."""

from typing import List, NamedTuple, Sequence, Tuple

# Eighths of a character; ASCII characters where the terminal's encoding lacks these.
_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:|"
_AXIS = "│"
_PLAIN_AXIS = "|"


class Size(NamedTuple):
    """The size of a chart in characters, without labels."""

    width: int
    height: int


Points = Sequence[Tuple[int, int]]  # time and value


def can_blocks(encoding: str) -> bool:
    """Return whether text in this encoding can have the block characters."""
    try:
        (_BLOCKS + _AXIS).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def chart(points: Points, length: int, top: int, size: Size, plain: bool) -> List[str]:
    """Return the lines of a chart, the highest first, without labels.

    Times lie between 0 and `length`; values above `top` are drawn as high as `top`.
    """
    blocks = _PLAIN if plain else _BLOCKS
    steps = len(blocks) - 1
    heights = [0] * size.width
    for at, value in points:
        slot = min(size.width - 1, max(0, at) * size.width // max(1, length))
        # Every value is visible, however small.
        height = max(1, min(value, top) * size.height * steps // max(1, top)) if value > 0 else 0
        heights[slot] = max(heights[slot], height)
    lines = []
    for row in reversed(range(size.height)):
        levels = (max(0, min(steps, height - row * steps)) for height in heights)
        axis = _PLAIN_AXIS if plain else _AXIS
        lines.append(axis + "".join(blocks[level] for level in levels).rstrip())
    return lines
