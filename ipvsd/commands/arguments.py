"""Declares and parses arguments that several commands have."""

import argparse

from ipvsd.model import NS_PER_S
from ipvsd.text import parse_duration


def duration(text: str) -> int:
    """Return nanoseconds for a duration such as 2s or 500ms. Raises ArgumentTypeError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Declare --watch and --interval, which is parsed to nanoseconds."""
    parser.add_argument("--watch", action="store_true", help="repeat until Ctrl-C")
    parser.add_argument(
        "--interval",
        type=duration,
        default=2 * NS_PER_S,
        metavar="TIME",
        help="time between two screens, or two readings of a rate (default: 2s)",
    )
