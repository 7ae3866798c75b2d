"""Files that others read at any moment."""

import contextlib
import os


def replace(path: str, text: str, last: bool = False) -> None:
    """Replace a file at one stroke by one that all may read; `last`: also after a power failure.

    Raises OSError, and then leaves the file as it was and nothing beside it.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new")
    # Whoever may write in the folder could have put a link there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o644)
            file.write(text)
            file.flush()
            if last:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
