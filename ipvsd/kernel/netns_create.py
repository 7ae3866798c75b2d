"""Creates a network namespace for the calling process, which alone is in it."""

import os
import time
from typing import Callable, NamedTuple, Union

from ipvsd.kernel import libc
from ipvsd.model import Identity, Reading


class Born(NamedTuple):
    """The namespace exists, as long as the process does."""

    identity: Identity
    born_ns: int  # monotonic
    reading: Reading  # what `read` returned in it


class Failed(NamedTuple):
    """The namespace could not be created."""

    error: str


BirthResult = Union[Born, Failed]


def create(read: Callable[[], Reading]) -> BirthResult:
    """Move the process into a new namespace, and call `read` there."""
    try:
        libc.unshare(libc.CLONE_NEWNET)
        born_ns = int(time.monotonic() * 1e9)
        status = os.stat("/proc/self/ns/net")
        return Born((status.st_dev, status.st_ino), born_ns, read())
    except OSError as error:
        return Failed(str(error.strerror))
