"""Reads and writes sysctl files, as the only module: compare, one write, read back."""

import contextlib
import errno
import functools
import os
import time
from typing import Any, Callable, Dict, Optional, Tuple

from ipvsd.kernel import affinity, dialects
from ipvsd.model import Found, Outcome, Reading, Write

# The longest value below net/ipv4/vs is a CPU list; the kernel returns at most one page.
_MAX_BYTES = 4096
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

Same = Callable[[str, str, str], bool]


class Sysctls:
    """The sysctls below net.ipv4.vs in the calling thread's network namespace.

    Outside of a procfs instance of one's own each look-up of their folder may be slow (see
    own_procfs): it is opened only once. So an object is for one namespace only, and only within its
    context.
    """

    def __init__(self, root: str = "/", procfs: Optional[int] = None) -> None:
        """Take the root of the file system, or a descriptor of the root of a procfs instance."""
        self._base = "/proc/sys" if root == "/" else os.path.join(root, "proc/sys")
        self._procfs = procfs
        self._folder = -1
        self._files: Dict[str, Tuple[int, bool]] = {}  # by key, and whether they may be written

    def __enter__(self) -> "Sysctls":
        return self

    def __exit__(self, *_: Any) -> None:
        self._close()

    def read(self, key: str) -> Reading:
        """Return the value of a dotted key, or why it cannot be read.

        In a procfs instance of one's own, where nobody watches for that, the file is opened to be
        written too: each opening costs as much as a visit's other calls together.
        """
        try:
            return _reading(self._readable(key))
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
            descriptor = self._writable(write.written_key)
            before = _reading(descriptor)
            if same(write.key, before.value, write.wanted):
                return Outcome(write, before)
            data = write.wanted.encode("ascii")
            if _put(descriptor, write.key, data) != len(data):
                raise OSError(errno.EIO, "short write")
            written_ns = int(time.monotonic() * 1e9)
            return Outcome(write, _reading(descriptor), written_ns)
        except FileNotFoundError:
            return Outcome(write, self.read(write.written_key))
        except OSError as error:
            text = f"{self._path(write.written_key)}: {error.strerror}"
            return Outcome(write, before, error=text, denied=error.errno in _DENIED)

    def has(self, key: str) -> bool:
        """Return whether the file of a dotted key exists. Raises OSError if there is no telling."""
        try:
            os.close(self._open(key, os.O_PATH))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _readable(self, key: str) -> int:
        """Return a descriptor of a key's file, open for reading at least."""
        if key in self._files:
            return self._files[key][0]
        if self._procfs is not None:
            with contextlib.suppress(PermissionError):  # nobody may write it; perhaps read it
                return self._writable(key)
        self._files[key] = self._open(key, os.O_RDONLY), False
        return self._files[key][0]

    def _writable(self, key: str) -> int:
        descriptor, writable = self._files.get(key, (-1, False))
        if not writable:
            writable_one = self._open(key, os.O_RDWR)
            if descriptor >= 0:
                os.close(descriptor)
            self._files[key] = writable_one, True
        return self._files[key][0]

    def _open(self, key: str, flags: int) -> int:
        folder, name = _split(key)
        if self._procfs is not None:
            return os.open(f"sys/{folder}/{name}", flags | os.O_CLOEXEC, dir_fd=self._procfs)
        if self._folder < 0:
            self._folder = self._open_folder(folder, os.O_PATH)
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=self._folder)

    def _open_folder(self, folder: str, flags: int) -> int:
        where = f"{self._base}/{folder}" if self._procfs is None else f"sys/{folder}"
        return os.open(where, flags | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._procfs)

    def _missing(self, key: str) -> Reading:
        """Return whether the key, the whole tree or even /proc/sys/net is missing."""
        self._close()  # the folder of an ip_vs that has been removed stays empty
        if self._is_populated(_split(key)[0]):
            return Reading(Found.NO_KEY)
        if self._is_populated("net"):
            return Reading(Found.NO_TREE)
        return Reading(Found.FAILED, error=f"{self._base}/net: does not exist")

    def _is_populated(self, folder: str) -> bool:
        try:
            descriptor = self._open_folder(folder, os.O_RDONLY)
        except OSError:
            return False
        try:
            return bool(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        for descriptor, _ in self._files.values():
            os.close(descriptor)
        self._files = {}
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _path(self, key: str) -> str:
        return os.path.join(self._base, key.replace(".", "/"))


@functools.lru_cache(maxsize=64)
def _split(key: str) -> Tuple[str, str]:
    """Return the folder of a dotted key below /proc/sys, and the name of its file."""
    folder, _, name = key.replace(".", "/").rpartition("/")
    return folder, name


def _put(descriptor: int, key: str, data: bytes) -> int:
    """Write a value at once; return how much of it was taken."""
    if key != dialects.EST_CPULIST:
        return os.pwrite(descriptor, data, 0)
    with affinity.every_cpu():
        return os.pwrite(descriptor, data, 0)


def _reading(descriptor: int) -> Reading:
    text = os.pread(descriptor, _MAX_BYTES, 0).decode("ascii", "replace")
    return Reading(Found.VALUE, text.strip())
