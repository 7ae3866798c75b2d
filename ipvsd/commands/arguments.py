"""Arguments that several verbs have."""

import argparse

from ipvsd.core.text import parse_duration


def duration(text: str) -> int:
    """Return nanoseconds for a duration such as 2s or 500ms."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error
