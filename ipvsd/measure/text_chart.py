"""A chart for a terminal: columns over time, as high as the largest value in their slice."""

from typing import List, NamedTuple, Sequence, Tuple

# Eighths of a character; plain letters where the terminal's encoding has none.
_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:|"
_AXIS = "│"
_PLAIN_AXIS = "|"


class Size(NamedTuple):
    """How many characters there are for the columns."""

    width: int
    height: int


Points = Sequence[Tuple[int, int]]  # time and value


def can_blocks(encoding: str) -> bool:
    """Whether text in this encoding can have the blocks."""
    try:
        (_BLOCKS + _AXIS).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def chart(points: Points, length: int, top: int, size: Size, plain: bool) -> List[str]:
    """Return the lines of a chart, the highest first, without labels.

    Times lie between 0 and `length`; values above `top` are as high as it.
    """
    blocks = _PLAIN if plain else _BLOCKS
    steps = len(blocks) - 1
    heights = [0] * size.width
    for at, value in points:
        slot = min(size.width - 1, max(0, at) * size.width // max(1, length))
        # What is there is seen, however small.
        height = max(1, min(value, top) * size.height * steps // max(1, top)) if value > 0 else 0
        heights[slot] = max(heights[slot], height)
    lines = []
    for row in reversed(range(size.height)):
        levels = (max(0, min(steps, height - row * steps)) for height in heights)
        axis = _PLAIN_AXIS if plain else _AXIS
        lines.append(axis + "".join(blocks[level] for level in levels).rstrip())
    return lines
