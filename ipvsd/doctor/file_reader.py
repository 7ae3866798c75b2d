"""Reads configuration files of other programs, with limits, without blocking or raising."""

import glob
import os
import stat
from typing import Dict, List, Sequence, Tuple

from ipvsd.doctor.diagnosis import Line
from ipvsd.doctor.file_syntax import File, in_effect
from ipvsd.system import files

# The rest of a longer file is ignored: nobody writes a configuration of this size.
_MAX_BYTES = 1024 * 1024
# A limit for the files of containers and units, so that the command ends within a minute.
_MAX_FILES = 5000


class Reader:
    """Reads files below a root, and remembers which could not be read."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._unreadable: Dict[str, Line] = {}

    @property
    def unreadable(self) -> Tuple[Line, ...]:
        """The files and folders that could not be read, and why."""
        return tuple(self._unreadable.values())

    def text(self, name: str) -> str:
        """Return the text of a small file, empty if there is no file."""
        return "".join(file.text for file in self.file(name))

    def tail(self, name: str) -> str:
        """Return the end of a file that may be large, empty if there is no file."""
        path = os.path.join(self._root, name)
        try:
            with open(path, "rb", opener=files.open_at_once) as file:
                file.seek(-min(_MAX_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
                return os.fsdecode(file.read(_MAX_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            self._note(path, error)
            return ""

    def file(self, name: str) -> List[File]:
        """Return a list with the file, empty if it does not exist."""
        return self._read(os.path.join(self._root, name))

    def folders(self, folders: Sequence[str], *suffixes: str, hidden: bool = False) -> List[File]:
        """Return the files in effect in folders of drop-ins; the first folder ranks first.

        systemd, udev and kmod pass over `hidden` files, whose names begin with a dot.
        """
        listings = []
        for folder in folders:
            path = os.path.join(self._root, folder)
            names = [name for name in self._names(path) if name.endswith(suffixes)]
            listings.append((path, [name for name in names if hidden or name[0] != "."]))
        return [file for path in in_effect(listings)[:_MAX_FILES] for file in self._read(path)]

    def matching(self, *patterns: str) -> List[File]:
        """Return the files whose paths match any of these globs."""
        found: List[str] = []
        for pattern in patterns:
            found += sorted(glob.glob(os.path.join(glob.escape(self._root), pattern)))
        return [file for path in found[:_MAX_FILES] for file in self._read(path)]

    def _names(self, folder: str) -> List[str]:
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._note(folder, error)
            return []

    def _read(self, path: str) -> List[File]:
        try:
            with open(path, "rb", opener=files.open_at_once) as file:
                # A link to /dev/null, which hides a file of the same name, counts as empty.
                regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                data = file.read(_MAX_BYTES) if regular else b""
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return []
        except OSError as error:
            self._note(path, error)
            return []
        return [File(path, os.fsdecode(data))]

    def _note(self, path: str, error: OSError) -> None:
        self._unreadable[path] = Line(path, 0, error.strerror or str(error))
