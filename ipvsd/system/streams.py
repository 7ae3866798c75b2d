"""Acts on the standard streams: opens closed ones, and remembers what could not be written.

A command does its work and returns its exit code whether or not somebody can read what it prints.
"""

import io
import os
import sys

# As `typing` has it, whose import takes a quarter of the time in which a bare Python starts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, TextIO

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class _Written(io.FileIO):
    """Stdout or stderr: the first failed write is remembered, and what follows is discarded."""

    error: "Optional[OSError]" = None

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # Buffer is Python 3.12
        """Write at most `data` and return how much of it needs no other write. Never raises."""
        length = len(memoryview(data).cast("B"))
        if self.error is not None:
            return length
        try:
            written = super().write(data)
            while written is None:  # another program has made the terminal non-blocking
                import select

                select.select([], [self], [])
                written = super().write(data)
        except OSError as error:
            self.error = error
            return length
        return written


def protect() -> None:
    """Make the standard streams of this process usable. Raises OSError without /dev/null.

    A closed descriptor is opened: the next file that the process opens would otherwise have its
    number, and Python has no stream object for it (sys.stdout is None).
    """
    for number in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(_STDIN, closefd=False)
    sys.stdout = _stream(_STDOUT, sys.stdout, "strict")
    sys.stderr = _stream(_STDERR, sys.stderr, "backslashreplace")


def failure(stream: "TextIO") -> "Optional[OSError]":
    """Flush a stream; return why something could not be written to it, None if all was."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Written) else None


def _stream(number: int, old: "Optional[TextIO]", errors: str) -> "TextIO":
    encoding = "utf-8"
    if old is not None:
        encoding, errors = old.encoding, old.errors or errors
    raw = _Written(number, "w", closefd=False)
    by_line = number == _STDERR or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)
