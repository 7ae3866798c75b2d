"""Reads files without blocking, and replaces files atomically."""

import contextlib
import os
import stat
from typing import Optional


def open_at_once(path: str, flags: int) -> int:
    """Open a file as open()'s `opener`, without waiting for a writer if it is a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK)


def read(path: str, limit: int) -> bytes:
    """Return the content of a regular file, without waiting.

    Raises OSError, also when the file is not regular or larger than `limit` bytes.
    """
    with open(path, "rb", opener=open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "is not a regular file")
        if status.st_size > limit:
            raise OSError(0, f"is larger than {limit} bytes")
        return file.read(status.st_size)


def changed_ns(path: str) -> Optional[int]:
    """Return when a file was last changed (since the epoch), None if that is unknown."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def replace(path: str, text: str, last: bool = False, mode: int = 0o644) -> None:
    """Replace a file atomically; with `last`, the file also survives a power failure.

    Raises OSError; then the file is unchanged, and no temporary file is left.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.new")
    # Always a new file: a user who may write in the folder could have put a link there, or a FIFO,
    # which open() would wait for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        descriptor = os.open(temporary, flags, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            if last:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
