"""Reads and writes sysctl files, as the only module: compare, one write, read back."""

import errno
import os
import time
from typing import Any, Callable

from ipvsd.model import Found, Outcome, Reading, Write

# The longest value below net/ipv4/vs is a CPU list; the kernel returns at most one page.
_MAX_BYTES = 4096
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

Same = Callable[[str, str, str], bool]


class Sysctls:
    """The sysctls below net.ipv4.vs in the calling thread's network namespace.

    Their folder is opened only once, since each opening is slow: the kernel searches "ipv4" in
    /proc/sys/net among the folders of that name of all namespaces, one after the other
    (fs/proc/proc_sysctl.c, proc_sys_compare). So an object is for one namespace only, and only
    within its context.
    """

    def __init__(self, root: str = "/") -> None:
        self._base = os.path.join(root, "proc/sys")
        self._folder = -1

    def __enter__(self) -> "Sysctls":
        return self

    def __exit__(self, *_: Any) -> None:
        self._close()

    def read(self, key: str) -> Reading:
        """Return the value of a dotted key, or why it cannot be read."""
        try:
            descriptor = self._open(key, os.O_RDONLY)
            try:
                return _reading(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return self._missing(key)
        except OSError as error:
            found = Found.DENIED if error.errno in _DENIED else Found.FAILED
            return Reading(found, error=f"{self._path(key)}: {error.strerror}")

    def write(self, write: Write, same: Same) -> Outcome:
        """Set the wanted value, unless `same(key, found, wanted)` says that it is set already.

        The value is compared once more right before the write, so that no caller can write
        needlessly: on kernels from 6.2 to the fix of 2026 a needless change of run_estimation is a
        hazard.
        """
        before = Reading(Found.VALUE, write.found)
        try:
            descriptor = self._open(write.key, os.O_RDWR)
            try:
                before = _reading(descriptor)
                if same(write.key, before.value, write.wanted):
                    return Outcome(write, before)
                data = write.wanted.encode("ascii")
                if os.pwrite(descriptor, data, 0) != len(data):
                    raise OSError(errno.EIO, "short write")
                written_ns = int(time.monotonic() * 1e9)
                return Outcome(write, _reading(descriptor), written_ns)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return Outcome(write, self.read(write.key))
        except OSError as error:
            text = f"{self._path(write.key)}: {error.strerror}"
            return Outcome(write, before, error=text, denied=error.errno in _DENIED)

    def has(self, key: str) -> bool:
        """Return whether the file of a dotted key exists."""
        try:
            os.close(self._open(key, os.O_PATH))
        except OSError:
            return False
        return True

    def _open(self, key: str, flags: int) -> int:
        folder, _, name = self._path(key).rpartition("/")
        if self._folder < 0:
            self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=self._folder)

    def _missing(self, key: str) -> Reading:
        """Return whether the key, the whole tree or even /proc/sys/net is missing."""
        self._close()  # the folder of an ip_vs that has been removed stays empty
        if _populated(os.path.dirname(self._path(key))):
            return Reading(Found.NO_KEY)
        if _populated(os.path.join(self._base, "net")):
            return Reading(Found.NO_TREE)
        return Reading(Found.FAILED, error=f"{self._base}/net: does not exist")

    def _close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _path(self, key: str) -> str:
        return os.path.join(self._base, key.replace(".", "/"))


def _reading(descriptor: int) -> Reading:
    text = os.pread(descriptor, _MAX_BYTES, 0).decode("ascii", "replace")
    return Reading(Found.VALUE, text.strip())


def _populated(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False
