"""Reads the configuration files, and writes or removes drop-ins."""

import contextlib
import errno
import os
import stat
import time
from typing import List, Mapping, NamedTuple, Optional

from ipvsd.config import comparison
from ipvsd.config.parser import Config, Source, parse
from ipvsd.model import Exit, GuardError
from ipvsd.system import files

FOLDER = "etc/ipvs-estoff-guard"
# Not below the service's own RuntimeDirectory=, which systemd removes when the service stops.
RUNTIME_FOLDER = "run/ipvs-estoff-guard.conf.d"
MAIN_FILE = "guard.conf"
DROP_IN_FOLDER = "conf.d"
_MACHINE_ID = "etc/machine-id"
_MAX_MACHINE_ID = 64  # twice its length
# A thousand times the size of the shipped file; no configuration is larger.
_MAX_BYTES = 1024 * 1024
# The kind of a file and its place do not change by themselves; open(2) gives ENXIO for a socket.
# systemd starts the service again after any other failure, such as too many open files.
_LASTING = (errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENXIO)
_UNKNOWN = "cannot tell whether its comparison still runs; taken as if it does; root can tell"
_DEV_NULL = os.makedev(1, 3)


class Places(NamedTuple):
    """The folders of the configuration, permanent and until the next boot; the machine-id's file.

    Without a file all is as on a host without a machine-id.
    """

    folder: str
    runtime: Optional[str] = None
    machine_id: Optional[str] = None

    @property
    def drop_ins(self) -> str:
        """Folder of the administrator's drop-ins."""
        return os.path.join(self.folder, DROP_IN_FOLDER)


def places(root: str = "/", folder: Optional[str] = None) -> Places:
    """Return the places below a root, or only the `folder` that the user named."""
    if folder is not None:
        return Places(folder, None, os.path.join(root, _MACHINE_ID))
    below = (os.path.join(root, path) for path in (FOLDER, RUNTIME_FOLDER, _MACHINE_ID))
    return Places(*below)


def load(where: Places, instead: Optional[Mapping[str, str]] = None) -> Config:
    """Return the configuration in guard.conf, conf.d/*.conf by name, and the run-time drop-ins.

    Later lines win. A file that does not exist counts as empty, and so does the drop-in of a
    comparison that no longer runs. `instead` has texts to take in place of those of files, or of
    files that do not exist yet. Raises
    ConfigError for a wrong value and GuardError for a file that cannot be read.
    """
    instead = {} if instead is None else instead
    drop_ins, warnings = _drop_ins(where.drop_ins, instead), []
    runs: Optional[bool] = False
    if where.runtime is not None:
        runtime = _drop_ins(where.runtime, instead)
        compared = os.path.join(where.runtime, comparison.DROP_IN)
        runs = comparison.is_running(where.runtime) if compared in runtime else False
        if runs is None:
            warnings.append(f"{compared}: {_UNKNOWN}")
        drop_ins += [path for path in runtime if runs is not False or path != compared]
    # A backup or a service's folder like foo.conf.d: not a reason to guard nothing.
    folders = [path for path in drop_ins if os.path.isdir(path)]
    paths = [os.path.join(where.folder, MAIN_FILE), *drop_ins]
    sources: List[Source] = []
    for path in paths:
        if path in instead:
            sources.append(Source(path, instead[path]))
        elif path not in folders:
            sources += read(path)
    config = parse(sources, int(time.time() * 1e9), _machine_id(where.machine_id))
    warnings += [f"{path}: is a folder, passed over" for path in folders]
    compares = runs is not False
    return config._replace(warnings=(*warnings, *config.warnings), compares=compares)


def _machine_id(path: Optional[str]) -> str:
    """Return the text of machine-id(5); empty if it cannot be read."""
    try:
        with open(path or os.devnull, encoding="ascii") as file:
            return file.read(_MAX_MACHINE_ID).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _drop_ins(folder: str, instead: Mapping[str, str]) -> List[str]:
    more = {os.path.basename(path) for path in instead if os.path.dirname(path) == folder}
    try:
        names = sorted(more.union(os.listdir(folder)))
    except FileNotFoundError:
        names = sorted(more)
    except OSError as error:
        raise _unreadable(folder, error) from error
    drop_ins = [name for name in names if name.endswith(".conf") and not name.startswith(".")]
    return [os.path.join(folder, name) for name in drop_ins]


def replace(path: str, text: str) -> None:
    """Write a configuration file atomically, or remove it if the text is empty.

    Raises GuardError; then nothing has changed.
    """
    try:
        if not text:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        files.replace(path, text, last=True)
    except OSError as error:
        code = Exit.NOT_PERMITTED if isinstance(error, PermissionError) else Exit.CANNOT_TELL
        raise GuardError(f"{path}: {error.strerror}; nothing was changed", code) from error


def read(path: str) -> List[Source]:
    """Return the text of a file, or nothing if there is no file. Raises GuardError."""
    try:
        with open(path, "rb", opener=files.open_at_once) as file:
            status = os.fstat(file.fileno())
            # An administrator disables a drop-in with a link to /dev/null.
            if not stat.S_ISREG(status.st_mode) and status.st_rdev != _DEV_NULL:
                raise GuardError(f"{path}: is not a regular file", Exit.USAGE)
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > _MAX_BYTES:
        raise GuardError(f"{path}: is larger than {_MAX_BYTES} bytes", Exit.USAGE)
    try:
        # Some editors write a byte-order mark.
        return [Source(path, data.decode("utf-8-sig"))]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise GuardError(f"{path}:{line}: is not UTF-8 text", Exit.USAGE) from error


def _unreadable(path: str, error: OSError) -> GuardError:
    if isinstance(error, PermissionError):
        code = Exit.NOT_PERMITTED
    else:
        code = Exit.USAGE if error.errno in _LASTING else Exit.CANNOT_TELL
    return GuardError(f"{path}: {error.strerror}", code)
