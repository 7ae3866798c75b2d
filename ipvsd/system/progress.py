"""Tells a parent how far its child has come, through memory that both share."""

import mmap
import os
import struct
from typing import Optional

_WORD = struct.Struct("=Q")  # the processor writes it as a whole
_TEXT_AT, _TEXT_MAX = 2 * _WORD.size, 512


class Progress:
    """The steps of a job; each may take as long as the parent's patience lasts."""

    def __init__(self) -> None:
        """Map the memory. Raises OSError."""
        self._shared = mmap.mmap(-1, _TEXT_AT + _TEXT_MAX)

    @property
    def steps(self) -> int:
        """How many steps have begun since the worker was created."""
        return int(_WORD.unpack_from(self._shared)[0])

    @property
    def number(self) -> int:
        """The number of the last step that has one."""
        return int(_WORD.unpack_from(self._shared, _WORD.size)[0])

    @property
    def text(self) -> str:
        """What the last step that says so is about."""
        return os.fsdecode(self._shared[_TEXT_AT:].rstrip(b"\0"))

    def note(self, text: str) -> None:
        """Note that a step begins, and what it is about."""
        self.step(text=text)

    def step(self, number: Optional[int] = None, text: Optional[str] = None) -> None:
        """Note that a step begins."""
        if number is not None:
            _WORD.pack_into(self._shared, _WORD.size, number)
        if text is not None:
            data = os.fsencode(text)[:_TEXT_MAX]
            self._shared[_TEXT_AT:] = data.ljust(_TEXT_MAX, b"\0")
        _WORD.pack_into(self._shared, 0, self.steps + 1)

    def close(self) -> None:
        """Unmap the memory."""
        self._shared.close()
