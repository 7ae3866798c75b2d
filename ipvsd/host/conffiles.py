"""Reads the configuration files."""

import os
import stat
from typing import List

from ipvsd.core.config import Config, Source, parse
from ipvsd.core.model import Exit, GuardError

FOLDER = "etc/ipvs-estoff-guard"
MAIN_FILE = "guard.conf"
DROP_IN_FOLDER = "conf.d"
# A thousand times the shipped file. What is larger is no configuration.
_MAX_BYTES = 1024 * 1024
_DEV_NULL = os.makedev(1, 3)


def load(folder: str) -> Config:
    """Read guard.conf and then conf.d/*.conf by name; what is not there counts as empty.

    Raises ConfigError for a bad value and GuardError for a file that cannot be read.
    """
    paths = [os.path.join(folder, MAIN_FILE)]
    drop_ins = os.path.join(folder, DROP_IN_FOLDER)
    try:
        names = sorted(name for name in os.listdir(drop_ins) if _is_drop_in(name))
        paths += [os.path.join(drop_ins, name) for name in names]
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unreadable(drop_ins, error) from error
    return parse([source for path in paths for source in _read(path)])


def _is_drop_in(name: str) -> bool:
    return name.endswith(".conf") and not name.startswith(".")


def _read(path: str) -> List[Source]:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            # A link to /dev/null is how a drop-in is switched off.
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
        return [Source(path, data.decode("utf-8"))]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise GuardError(f"{path}:{line}: is not UTF-8 text", Exit.USAGE) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a FIFO in place of the file must not stop the daemon."""
    return os.open(path, flags | os.O_NONBLOCK)


def _unreadable(path: str, error: OSError) -> GuardError:
    code = Exit.NOT_PERMITTED if isinstance(error, PermissionError) else Exit.USAGE
    return GuardError(f"{path}: {error.strerror}", code)
