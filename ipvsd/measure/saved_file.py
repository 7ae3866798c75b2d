"""Reads and writes files with measurements."""

import os
from typing import Any, Dict

from ipvsd.measure.measurement import parse
from ipvsd.model import Exit, GuardError
from ipvsd.text import printable

# Hundreds of namespaces and all points of three phases take less than 1 MB.
_MAX_BYTES = 64 * 1024 * 1024


def load(path: str) -> Dict[str, Any]:
    """Return a saved document. Raises GuardError when the file has none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return parse(file.read(_MAX_BYTES))
    except OSError as error:
        raise GuardError(f"{printable(path)}: {error.strerror}", Exit.USAGE) from error
    except ValueError as error:
        raise GuardError(f"{printable(path)}: {printable(str(error))}", Exit.USAGE) from error


def check(path: str) -> None:
    """Raise GuardError when a file cannot be written; called before anything is measured."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.access(path if os.path.exists(path) else folder, os.W_OK) or os.path.isdir(path):
        raise GuardError(f"{printable(path)}: cannot be written", Exit.USAGE)


def save(path: str, text: str) -> None:
    """Write the text of a document. Raises GuardError."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise GuardError(f"{printable(path)}: {error.strerror}", Exit.CANNOT_TELL) from error
