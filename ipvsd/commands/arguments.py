"""Arguments that several verbs have."""

import argparse

from ipvsd.model import NS_PER_S
from ipvsd.text import parse_duration


def duration(text: str) -> int:
    """Return nanoseconds for a duration such as 2s or 500ms."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Declare the options of verbs that show page after page; the interval in nanoseconds."""
    parser.add_argument("--watch", action="store_true", help="show anew until interrupted")
    parser.add_argument(
        "--interval", type=duration, default=2 * NS_PER_S, metavar="TIME", help="(default: 2s)"
    )
