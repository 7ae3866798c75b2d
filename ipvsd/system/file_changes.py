"""Changes files of the administrator, all or none of them, and keeps a copy beside each."""

import contextlib
import os
import shutil
import tempfile
from typing import List, NamedTuple, Sequence

from ipvsd.model import Exit, GuardError

# Programs that read every *.conf of a folder do not read this.
_BACKUP = ".ipvsd-backup"


class Change(NamedTuple):
    """A file, the text that it must still have, and its new text."""

    path: str
    expected: str
    text: str


class _Prepared(NamedTuple):
    """A change that is ready: the copy, and the new file, lie beside the file."""

    path: str  # of the file itself, not of a link to it
    backup: str
    temporary: str


def replace(changes: Sequence[Change]) -> List[str]:
    """Replace the texts of files, keeping owner and mode; return the path of each copy made before.

    An older copy is never overwritten. Raises GuardError if a file no longer has the expected text,
    or cannot be changed. Then all files are as they were; if even that fails, the message names the
    files that are changed.
    """
    prepared: List[_Prepared] = []
    done: List[_Prepared] = []
    path = ""
    try:
        for change in changes:
            path = change.path
            prepared.append(_prepare(change))
        for one in prepared:
            path = one.path
            os.replace(one.temporary, one.path)
            done.append(one)
    except OSError as error:
        changed = _undo(prepared, done)
        denied = isinstance(error, PermissionError)
        code = Exit.NOT_PERMITTED if denied else Exit.CANNOT_TELL
        message = f"{path}: cannot be changed: {error.strerror}; {changed}"
        raise GuardError(message, code) from error
    except GuardError:
        _undo(prepared, done)
        raise
    return [one.backup for one in prepared]


def _prepare(change: Change) -> _Prepared:
    path = os.path.realpath(change.path)
    with open(path, "rb") as file:
        if file.read() != os.fsencode(change.expected):
            raise GuardError(f"{path}: has just been changed; try again", Exit.CANNOT_TELL)
    backup = temporary = ""
    try:
        backup = _copy(path)
        descriptor, temporary = tempfile.mkstemp(prefix=".ipvsd-", dir=os.path.dirname(path))
        with open(descriptor, "wb") as file:
            file.write(os.fsencode(change.text))
            file.flush()
            _like(path, temporary)
            os.fsync(descriptor)
    except OSError:
        _remove(backup, temporary)
        raise
    return _Prepared(path, backup, temporary)


def _undo(prepared: Sequence[_Prepared], done: Sequence[_Prepared]) -> str:
    """Restore the files; return a sentence about what is changed all the same."""
    left = []
    for one in done:
        try:
            os.replace(one.backup, one.path)
        except OSError:
            left.append(f"{one.path} (copy of the old file: {one.backup})")
    for one in prepared:
        if one not in done:
            _remove(one.backup, one.temporary)
    return f"these files are changed: {', '.join(left)}" if left else "no file is changed"


def _remove(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _copy(path: str) -> str:
    """Copy a file to a new name beside it, and return this path."""
    for number in range(1, 1000):
        backup = path + _BACKUP + ("" if number == 1 else f".{number}")
        try:
            target = open(backup, "xb")
        except FileExistsError:
            continue
        try:
            with target, open(path, "rb") as source:
                shutil.copyfileobj(source, target)
            _like(path, backup)
        except OSError:
            _remove(backup)
            raise
        return backup
    raise OSError(0, "it has too many copies already")


def _like(path: str, copy: str) -> None:
    """Give a file the owner, mode and attributes (also those of SELinux) of another file."""
    status = os.stat(path)
    os.chown(copy, status.st_uid, status.st_gid)
    shutil.copystat(path, copy)
