"""Reads from /proc/kallsyms which functions a module has: a probe may be set where none is.

Before 59158ec4aef7 (Linux 4.20) the kernel accepts a kprobe on a function that a loaded module
lacks, as if the module were not loaded yet. Such a probe never fires.
"""

import os
from typing import BinaryIO, Iterable, Optional

_PATH = "proc/kallsyms"
_PIECE_BYTES = 1024 * 1024


def first_there(root: str, names: Iterable[str], module: str) -> Optional[str]:
    """Return the first of some functions that a module has, None if that is unknown or none is.

    An empty `module` stands for the kernel itself.
    """
    wanted = {_ending(name, module): name for name in names}
    try:
        with open(os.path.join(root, _PATH), "rb") as file:
            found = {wanted[ending] for ending in _search(file, list(wanted))}
    except OSError:
        return None
    return next((name for name in wanted.values() if name in found), None)


def _ending(name: str, module: str) -> bytes:
    """Return what follows the address and the type in the line of a function."""
    return f" {name}\t[{module}]\n".encode("ascii") if module else f" {name}\n".encode("ascii")


def _search(file: BinaryIO, endings: Iterable[bytes]) -> Iterable[bytes]:
    """Yield the endings that are in the file: some 200,000 lines, those of modules last."""
    longest, end = max(map(len, endings)), b""
    for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
        window = end + piece  # a line may lie across two pieces
        yield from (one for one in endings if one in window)
        end = window[1 - longest :]
