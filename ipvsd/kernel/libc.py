"""Calls the system calls that Python 3.6 lacks, through ctypes, and does nothing else."""

import functools
import os
from typing import Any

CLONE_NEWNET = 0x40000000  # linux/sched.h


@functools.lru_cache(maxsize=None)
def _libc() -> Any:
    """Return the C library; a command that enters no namespace starts without ctypes."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into a namespace (setns(2)).

    `kind` is always given: a sandbox with RestrictNamespaces=net refuses 0, which means any kind.
    Raises OSError.
    """
    _checked(_libc().setns(descriptor, kind))


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces (unshare(2)). Raises OSError."""
    _checked(_libc().unshare(flags))


def inotify_init() -> int:
    """Return a new inotify descriptor that does not block (inotify_init1(2)). Raises OSError."""
    return _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    """Watch a path and return the watch (inotify_add_watch(2)). Raises OSError."""
    return _checked(_libc().inotify_add_watch(descriptor, os.fsencode(path), mask))


def inotify_rm_watch(descriptor: int, watch: int) -> None:
    """Remove a watch (inotify_rm_watch(2)). Raises OSError."""
    _checked(_libc().inotify_rm_watch(descriptor, watch))


def _checked(result: int) -> int:
    if result >= 0:
        return result
    import ctypes

    number = ctypes.get_errno()
    # pyudev before 0.24.5 mistakes an errno that is left in this thread for a failure of its call.
    ctypes.set_errno(0)
    raise OSError(number, os.strerror(number))
