"""Locks files, so that only one process at a time changes the configuration or compares."""

import contextlib
import fcntl
import os
import time
from typing import Iterator, Optional

from ipvsd.model import Exit, GuardError

_TRY_AGAIN_S = 0.02
# The kernel's locks, readable by everybody. A reader in another PID namespace than the first one
# does not see locks of processes outside of it (locks_translate_pid, fs/locks.c).
_TABLE = "/proc/locks"
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h


@contextlib.contextmanager
def held(folder: str, name: str, wait_s: float, busy: str) -> Iterator[None]:
    """Hold a lock. Raises GuardError, with `busy` where another process does not give it back."""
    descriptor = lock(folder, name, wait_s)
    if descriptor is None:
        raise GuardError(busy, Exit.CANNOT_TELL)
    try:
        yield
    finally:
        os.close(descriptor)


def lock(folder: str, name: str, wait_s: float) -> Optional[int]:
    """Return the descriptor of a locked file; closing it, or a death, gives the lock back.

    Returns None if another process holds it all the time. Raises GuardError.
    """
    path = os.path.join(folder, name)
    # Only root may open it: any reader could hold the lock too, and keep the others out.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        code = Exit.NOT_PERMITTED if isinstance(error, PermissionError) else Exit.CANNOT_TELL
        advice = "; this needs root" if code is Exit.NOT_PERMITTED else ""
        raise GuardError(f"{path}: {error.strerror}{advice}; nothing was changed", code) from error
    limit_s = time.monotonic() + wait_s
    while not _is_taken(descriptor):
        if time.monotonic() > limit_s:
            os.close(descriptor)
            return None
        time.sleep(_TRY_AGAIN_S)
    return descriptor


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(folder: str, name: str) -> Optional[bool]:
    """Return whether a process holds the lock; None if that is unknown."""
    path = os.path.join(folder, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return _looked_up(path)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(descriptor)


def _looked_up(path: str) -> Optional[bool]:
    try:
        status = os.stat(path)
        if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
            return None
        with open(_TABLE, encoding="utf-8", errors="replace") as file:
            table = file.read()
    except OSError:
        return None
    return held_by_table(table, status.st_dev, status.st_ino)


def held_by_table(table: str, device: int, inode: int) -> Optional[bool]:
    """Return whether a text of /proc/locks has an exclusive flock(2) of a file.

    None if it has one of the same inode number on another device: btrfs shows another device there
    than in stat(2).
    """
    held: Optional[bool] = False
    for line in table.splitlines():
        # 1: FLOCK  ADVISORY  WRITE 7 00:1a:4711 0 EOF
        words = line.split()
        shown, _, number = "".join(words[5:6]).rpartition(":")
        if words[1:4:2] != ["FLOCK", "WRITE"] or number != str(inode):
            continue
        if shown == f"{os.major(device):02x}:{os.minor(device):02x}":
            return True
        held = None
    return held
