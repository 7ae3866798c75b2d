"""Declares and parses arguments that several commands have."""

import argparse

from ipvsd.model import NS_PER_MS, NS_PER_S
from ipvsd.text import parse_duration

# A shorter one keeps a CPU busy; in a longer one, a screen looks as if it were current.
_SHORTEST_NS, _LONGEST_NS = 100 * NS_PER_MS, 3600 * NS_PER_S


def duration(text: str) -> int:
    """Return nanoseconds for a duration such as 2s or 500ms. Raises ArgumentTypeError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error


def _interval(text: str) -> int:
    ns = duration(text)
    if not _SHORTEST_NS <= ns <= _LONGEST_NS:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 100ms and 1h")
    return ns


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Declare --watch and --interval, which is parsed to nanoseconds."""
    parser.add_argument("--watch", action="store_true", help="repeat until Ctrl-C")
    parser.add_argument(
        "--interval",
        type=_interval,
        default=2 * NS_PER_S,
        metavar="TIME",
        help="time between two screens, or two readings of a rate: 100ms to 1h (default: 2s)",
    )
