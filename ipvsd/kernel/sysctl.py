"""The only reader and writer of sysctl files: compare, one write, read back."""

import errno
import os
import time
from typing import Callable

from ipvsd.core.model import Found, Outcome, Reading, Write

# The longest value below net/ipv4/vs is a CPU list; a page is what the kernel gives at most.
_MAX_BYTES = 4096
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

Same = Callable[[str, str, str], bool]


class Sysctls:
    """The sysctls that the calling thread sees: those of its own network namespace."""

    def __init__(self, root: str = "/") -> None:
        self._base = os.path.join(root, "proc/sys")

    def read(self, key: str) -> Reading:
        """Return what the file of a dotted key holds, or why it cannot be read."""
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _reading(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return self._missing(path)
        except OSError as error:
            found = Found.DENIED if error.errno in _DENIED else Found.FAILED
            return Reading(found, error=f"{path}: {error.strerror}")

    def write(self, write: Write, same: Same) -> Outcome:
        """Set the wanted value, unless `same(key, found, wanted)` says that it is there already.

        The value is compared once more right here, so that no caller can write needlessly: on
        kernels 6.2 to 2026 a needless change of run_estimation is a hazard. The file is opened
        once for all of it: opening it is what costs most.
        """
        path = self._path(write.key)
        before = Reading(Found.VALUE, write.found)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
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
            text = f"{path}: {error.strerror}"
            return Outcome(write, before, error=text, denied=error.errno in _DENIED)

    def _missing(self, path: str) -> Reading:
        """Tell a missing key from a missing tree, and a missing tree from a missing /proc/sys."""
        if _populated(os.path.dirname(path)):
            return Reading(Found.NO_KEY)
        if _populated(os.path.join(self._base, "net")):
            return Reading(Found.NO_TREE)
        return Reading(Found.FAILED, error=f"{self._base}/net is not there")

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
