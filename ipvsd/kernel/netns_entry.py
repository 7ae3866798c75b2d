"""Enters network namespaces, as the only module: opens the way in, visits, and is home again.

Whoever visits is in a process of its own (system.worker), is at home before it opens anything, and
holds nothing open longer than a visit lasts.
"""

import fcntl
import os
import re
from typing import Callable, Iterable, Optional, TypeVar

from ipvsd.kernel import libc
from ipvsd.model import Identity

_NS_GET_USERNS = 0xB701  # linux/nsfs.h: _IO(0xb7, 0x1)
# Here _IOC_NONE is 1 and not 0 (arch/*/include/uapi/asm/ioctl.h), as uname(2) names the machines.
_IOC_NONE_IS_1 = ("alpha", "mips", "ppc", "sparc", "sw_64")
_IOC_DIRSHIFT = 29  # there
_THREADS = "/proc/thread-self/ns/net"
_IN_PROCFS = re.compile(r"/proc/[0-9]+/ns/net\Z").match

Result = TypeVar("Result")


class Gone(Exception):
    """No path leads into the namespace any more: the normal end of a namespace."""


class Entrance:
    """The way into other namespaces and back to that in which the first visit began."""

    def __init__(self) -> None:
        self._home = -1

    def visit(
        self, paths: Iterable[str], identity: Identity, visit: Callable[[], Result]
    ) -> Result:
        """Enter a namespace by the first path that still leads to it; return `visit()`, at home.

        Raises Gone, or OSError when a path leads to the namespace but it cannot be entered. Raises
        SystemExit when there is no way home: a process must do nothing more then.
        """
        if self._home < 0:
            self._home = os.open(_THREADS, os.O_RDONLY | os.O_CLOEXEC)
        descriptor = _open_any(paths, identity)
        try:
            libc.setns(descriptor, libc.CLONE_NEWNET)
        finally:
            # At once: while the descriptor is open, the mount that it was opened through is busy.
            os.close(descriptor)
        try:
            return visit()
        finally:
            try:
                libc.setns(self._home, libc.CLONE_NEWNET)
            except OSError as error:
                raise SystemExit(f"namespaces: no way home: {error.strerror}") from error

    def close(self) -> None:
        """Close the descriptor of the own namespace."""
        if self._home >= 0:
            os.close(self._home)
            self._home = -1


def owned_elsewhere(
    paths: Iterable[str] = (_THREADS,), identity: Optional[Identity] = None
) -> bool:
    """Return whether another user namespace than the caller's owns a network namespace.

    Without arguments it is that of the calling thread. False where there is no telling: the kernel
    has no user namespaces, or the namespace is gone. See ioctl_ns(2).
    """
    try:
        descriptor = (
            os.open(_THREADS, os.O_RDONLY | os.O_CLOEXEC)
            if identity is None
            else _open_any(paths, identity)
        )
        try:
            owner = fcntl.ioctl(descriptor, ns_get_userns(os.uname().machine))
        finally:
            os.close(descriptor)
    except PermissionError:
        return True  # the owner is a user namespace that the caller may not even see
    except (OSError, Gone):
        return False
    try:
        return not os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
    finally:
        os.close(owner)


def ns_get_userns(machine: str) -> int:
    """Return the number of the request NS_GET_USERNS on an architecture."""
    return _NS_GET_USERNS | (machine.startswith(_IOC_NONE_IS_1) << _IOC_DIRSHIFT)


def _open_any(paths: Iterable[str], identity: Identity) -> int:
    error: Optional[OSError] = None
    for path in paths:
        try:
            descriptor = _open(path, identity)
        except OSError as caught:
            if not isinstance(caught, (FileNotFoundError, ProcessLookupError, NotADirectoryError)):
                error = caught
            continue
        if descriptor is not None:
            return descriptor
    if error is not None:
        raise error
    raise Gone


def _open(path: str, identity: Identity) -> Optional[int]:
    """Return a descriptor of the namespace, None when the path leads to something else.

    A hostile user may choose what the path leads to: a FIFO, a device, another file. So the path is
    first opened with O_PATH, which does nothing to the file, and opened for reading only when the
    file has proved to be the namespace that is meant. The link of a process leads to nothing else.
    """
    if _IN_PROCFS(path):
        return _checked(os.open(path, os.O_RDONLY | os.O_CLOEXEC), identity)
    pointer = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(pointer)
        if (status.st_dev, status.st_ino) != identity:
            return None
        return os.open(f"/proc/self/fd/{pointer}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(pointer)


def _checked(descriptor: int, identity: Identity) -> Optional[int]:
    """Return the descriptor of a namespace, None and close it if it is another one's."""
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) == identity:
        return descriptor
    os.close(descriptor)
    return None
