"""Changes a file of the administrator atomically, and keeps a copy beside it."""

import os
import shutil
import tempfile

from ipvsd.model import Exit, GuardError

# kmod reads *.conf only.
_BACKUP = ".ipvsd-backup"


def replace(path: str, expected: str, text: str) -> str:
    """Replace the text of a file, keeping owner and mode; return the path of the copy made before.

    An older copy is never overwritten. Raises GuardError if the file no longer has the expected
    text, or cannot be changed; then the file is unchanged.
    """
    path = os.path.realpath(path)  # the file itself, not a link to it
    temporary = ""
    try:
        with open(path, "rb") as file:
            if file.read() != os.fsencode(expected):
                raise GuardError(f"{path}: has just been changed; try again", Exit.CANNOT_TELL)
        backup = _copy(path)
        descriptor, temporary = tempfile.mkstemp(prefix=".ipvsd-", dir=os.path.dirname(path))
        with open(descriptor, "wb") as file:
            file.write(os.fsencode(text))
            file.flush()
            _like(path, temporary)
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        denied = isinstance(error, PermissionError)
        code = Exit.NOT_PERMITTED if denied else Exit.CANNOT_TELL
        raise GuardError(f"{path}: cannot be changed: {error.strerror}", code) from error
    return backup


def _copy(path: str) -> str:
    """Copy a file to a new name beside it, and return this path."""
    for number in range(1, 1000):
        backup = path + _BACKUP + ("" if number == 1 else f".{number}")
        try:
            with open(path, "rb") as source, open(backup, "xb") as target:
                shutil.copyfileobj(source, target)
        except FileExistsError:
            continue
        _like(path, backup)
        return backup
    raise OSError(0, "it has too many copies already")


def _like(path: str, copy: str) -> None:
    """Give a file the owner, mode and attributes (also those of SELinux) of another file."""
    status = os.stat(path)
    os.chown(copy, status.st_uid, status.st_gid)
    shutil.copystat(path, copy)
