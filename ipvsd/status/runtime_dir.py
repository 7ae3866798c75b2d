"""Reads and writes the run-time folder: the daemon's lock, and its files for the commands."""

import contextlib
import fcntl
import json
import os
from typing import Any, Dict, List, Optional, Tuple

from ipvsd.model import Exit, GuardError
from ipvsd.status import shapes
from ipvsd.system import files, json_shape

FOLDER = "run/ipvs-estoff-guard"
STATUS = "status.json"
# What is about single namespaces, their processes and mounts is for root only: other users may not
# be able to see these by themselves. The state of all namespaces is apart: it may be large.
EVENTS = "events.json"
NAMESPACES = "namespaces.json"
# The counters stay behind for the next daemon.
COUNTERS = "counters.json"
_MODES = {STATUS: 0o644, EVENTS: 0o600, NAMESPACES: 0o600, COUNTERS: 0o600}
_SHAPES = {STATUS: shapes.STATUS, EVENTS: shapes.EVENTS, NAMESPACES: shapes.NAMESPACES}
# Each namespace takes some 230 bytes.
_MAX_BYTES = 256 * 1024 * 1024
_START_TIME_FIELD = 22 - 3  # proc(5): field 22 of /proc/PID/stat, counted behind ") "


def publish(path: str, text: str, mode: int = 0o644) -> Optional[str]:
    """Replace a file atomically; return why that failed, None if it did not."""
    try:
        files.replace(path, text, mode=mode)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def withdraw(path: str) -> None:
    """Remove a file that was published; it may be missing already."""
    with contextlib.suppress(OSError):
        os.unlink(path)


class RuntimeFolder:
    """The files below /run/ipvs-estoff-guard."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._folder = os.path.join(root, FOLDER)
        self._lock: Optional[int] = None
        self._others_lock: Optional[int] = None  # the file that another daemon has locked
        self._writer: Dict[str, Any] = {}  # the process whose files these are

    def lock(self) -> bool:
        """Take the lock that only one daemon can hold; return False if another one holds it.

        The kernel gives the lock back when its holder ends, in whatever way. Whoever removes the
        folder, as systemd before 235 does when the service stops, leaves another file behind: the
        file that another daemon has locked is kept open until that one has ended, and then the file
        is opened anew. Raises GuardError when the folder cannot be used.
        """
        if not self._other_has_ended():
            return False
        path = self.path("lock")
        try:
            os.makedirs(self._folder, mode=0o755, exist_ok=True)
            # Only root may open it: a reader could hold a lock too, and keep the daemon out.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._lock = os.open(path, flags, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(self._lock, path):
                self.unlock()  # nobody else finds the file that was opened
                return False
            self._writer = {"pid": os.getpid(), "start_time": _start_time(os.getpid())}
            return True
        except BlockingIOError:
            self._others_lock, self._lock = self._lock, None
            return False
        except PermissionError as error:
            message = f"{path}: {error.strerror}; the daemon runs as root"
            raise GuardError(message, Exit.NOT_PERMITTED) from error
        except OSError as error:
            raise GuardError(f"{path}: {error.strerror}", Exit.CANNOT_TELL) from error

    def _other_has_ended(self) -> bool:
        if self._others_lock is None:
            return True
        try:
            fcntl.flock(self._others_lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.close(self._others_lock)
        self._others_lock = None
        return True

    def unlock(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return os.path.join(self._folder, name)

    def rendered(self, name: str, document: Dict[str, Any]) -> Tuple[str, str, int]:
        """Return path, text and mode of a file, for publish(); only while the lock is held."""
        return self.path(name), json.dumps(dict(document, **self._writer)) + "\n", _MODES[name]

    def paths(self) -> List[str]:
        """Return the files that are about a running daemon: it removes them when it ends."""
        return list(map(self.path, _SHAPES))

    def saved_counters(self) -> Optional[Dict[str, Any]]:
        """Return what a daemon before has counted, None if none has.

        Raises ValueError, with a sentence, if the file cannot be read or is not of this version.
        """
        path = self.path(COUNTERS)
        try:
            text = files.read(path, _MAX_BYTES).decode("utf-8", "replace")
            return json_shape.load(text, shapes.SAVED)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def daemon(self, name: str = STATUS) -> Optional[Dict[str, Any]]:
        """Return a file's content if the daemon that wrote it still runs, else None.

        None too where the caller may not see that, or the file is not as this version writes it.
        """
        try:
            document = self._read(name)
        except (OSError, ValueError):
            return None
        return document if _runs(document["pid"], document["start_time"]) else None

    def running(self) -> Optional[bool]:
        """Return whether the daemon runs; None if that is unknown.

        It is unknown where the caller may not read its status, or may not see its process, and
        where its status is not as this version writes it.
        """
        try:
            document = self._read(STATUS)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError):
            return None
        return _runs(document["pid"], document["start_time"])

    def _read(self, name: str) -> Dict[str, Any]:
        data = files.read(self.path(name), _MAX_BYTES)
        return json_shape.load(data.decode("utf-8"), _SHAPES[name])


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether an open file is the one that a path leads to now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _runs(pid: int, start_time: str) -> Optional[bool]:
    """Return whether the process with this pid and start time runs; None if it is hidden.

    With hidepid=1 other users' processes cannot be read, with hidepid=2 they seem not to exist
    (proc(5)). kill(2) finds them all the same.
    """
    try:
        return start_time == _start_time(pid)
    except PermissionError:
        return None
    except (OSError, IndexError):
        return None if _exists_for_another_user(pid) else False


def _exists_for_another_user(pid: int) -> bool:
    try:
        if pid > 0:
            os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot: with its pid it is unique."""
    with open(os.path.join("/proc", str(pid), "stat"), encoding="latin-1") as file:
        return file.read().rpartition(") ")[2].split()[_START_TIME_FIELD]
