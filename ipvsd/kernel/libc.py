"""Calls the system calls that Python 3.6 lacks, through ctypes, and does nothing else."""

import errno
import functools
import os
from typing import Any

CLONE_NEWNET = 0x40000000  # linux/sched.h
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # linux/prctl.h
_SIGKILL = 9
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
# System calls since Linux 5.2, which C libraries before glibc 2.36 do not wrap. Their numbers are
# the same on all architectures but alpha (include/uapi/asm-generic/unistd.h and syscall.tbl), with
# an offset on mips.
_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432
_OTHER_NUMBERS = ("alpha", "mips")
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC (linux/mount.h)
_FSCONFIG_CMD_CREATE = 6


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


def fsopen(kind: str) -> int:
    """Return the configuration of a new file system instance (fsopen(2)). Raises OSError."""
    return _checked(_syscall(_SYS_FSOPEN, kind.encode("ascii"), _CLOEXEC))


def fsconfig_create(configuration: int) -> None:
    """Create the instance that was configured (fsconfig(2)). Raises OSError."""
    _checked(_syscall(_SYS_FSCONFIG, configuration, _FSCONFIG_CMD_CREATE, None, None, 0))


def fsmount(configuration: int) -> int:
    """Return a mount of the instance that is attached nowhere (fsmount(2)). Raises OSError."""
    return _checked(_syscall(_SYS_FSMOUNT, configuration, _CLOEXEC, 0))


def end_with_parent() -> None:
    """Have the calling process killed when the thread that forked it ends (prctl(2))."""
    _checked(_libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))


def name_thread(name: str) -> None:
    """Name the calling thread, as ps(1) shows it; 15 bytes at most (prctl(2))."""
    _checked(_libc().prctl(_PR_SET_NAME, name.encode("ascii"), 0, 0, 0))


def keep_capabilities(mask: int) -> None:
    """Give up, for the calling thread, what is not in a mask of capabilities (capset(2))."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; each of 64 bits, low first
    _checked(_libc().capget(header, data))
    for number in range(len(data)):
        data[number] &= mask >> (32 * (number // 3)) & 0xFFFFFFFF
    _checked(_libc().capset(header, data))


def inotify_init() -> int:
    """Return a new inotify descriptor that does not block (inotify_init1(2)). Raises OSError."""
    return _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    """Watch a path and return the watch (inotify_add_watch(2)). Raises OSError."""
    return _checked(_libc().inotify_add_watch(descriptor, os.fsencode(path), mask))


def inotify_rm_watch(descriptor: int, watch: int) -> None:
    """Remove a watch (inotify_rm_watch(2)). Raises OSError."""
    _checked(_libc().inotify_rm_watch(descriptor, watch))


def _syscall(number: int, *arguments: Any) -> int:
    if os.uname().machine.startswith(_OTHER_NUMBERS):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    import ctypes

    call = _libc().syscall
    call.restype = ctypes.c_long
    return int(call(ctypes.c_long(number), *arguments))


def _checked(result: int) -> int:
    if result >= 0:
        return result
    import ctypes

    number = ctypes.get_errno()
    # pyudev before 0.24.5 mistakes an errno that is left in this thread for a failure of its call.
    ctypes.set_errno(0)
    raise OSError(number, os.strerror(number))
