"""Files that others read at any moment."""

import contextlib
import os
import stat


def read(path: str, limit: int) -> bytes:
    """Return the content of a regular file, and wait for no other.

    Raises OSError, also when it is larger than so many bytes.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "is not a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(0, f"is larger than {limit} bytes")
    return data


def replace(path: str, text: str, last: bool = False, mode: int = 0o644) -> None:
    """Replace a file at one stroke; `last`: so that it outlives a power failure.

    Raises OSError, and then leaves the file as it was and nothing beside it.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new")
    # Whoever may write in the folder could have put a link there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
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
