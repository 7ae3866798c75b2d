"""Reads from a mount table where network namespaces are bind-mounted, and reports changes."""

import os
import re
from typing import Dict, FrozenSet, Iterable, Iterator, List, Match, NamedTuple, Set

# proc(5): mountinfo separates its variable fields by " - " and escapes blanks as octal numbers.
_LINE = re.compile(
    rb"(?P<id>\d{1,10}) \d{1,10} (?P<major>\d{1,4}):(?P<minor>\d{1,7}) "
    rb"net:\[(?P<inode>\d{1,20})\] (?P<path>/[^ ]*) "
    rb"[^\n]* - nsfs "
)
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class NamespaceMount(NamedTuple):
    """One bind mount of a network namespace."""

    mount_id: int
    device: int
    inode: int
    path: str


# A container can make its mount table very large: the table is never in memory as a whole.
_READ_BYTES = 64 * 1024


def parse(lines: Iterable[bytes]) -> Iterator[NamespaceMount]:
    """Yield the mounts of network namespaces in the lines of a mountinfo file; never raises."""
    for line in lines:
        match = _LINE.match(line) if b" nsfs " in line else None
        if match is not None:
            device = os.makedev(int(match.group("major")), int(match.group("minor")))
            path = _ESCAPE.sub(_unescaped, match.group("path"))
            mount_id, inode = int(match.group("id")), int(match.group("inode"))
            yield NamespaceMount(mount_id, device, inode, os.fsdecode(path))


class Table(NamedTuple):
    """What matters of a mount table."""

    namespaces: List[NamespaceMount]
    served: FrozenSet[str]  # where there are file systems that somebody serves, and that may hang
    lines: int

    def is_served(self, path: str) -> bool:
        """Return whether a path leads through a file system that may hang."""
        while self.served and path not in self.served and path != "/":
            path = path.rpartition("/")[0] or "/"
        return path in self.served or len(self.served) >= _SERVED_MAX


# File systems whose server may never answer; proc(5) writes FUSE ones as fuse.SUBTYPE.
_SERVED = ("fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "gfs", "ocfs", "glusterfs", "autofs")
_ANY = re.compile(rb"(?:[^ ]* ){4}(?P<path>/[^ ]*) [^\n]* - (?P<kind>[^ ]+) ")
# With more of them, any path may hang: an ordinary user can mount a hundred thousand.
_SERVED_MAX = 1000


def read(path: str, most: int) -> Table:
    """Return a mountinfo file, with at most `most` mounts of each network namespace.

    Raises OSError.
    """
    found, lines = [], 0
    served: Set[str] = set()
    counts: Dict[int, int] = {}
    with open(path, "rb", buffering=_READ_BYTES) as file:
        for line in file:
            lines += 1
            for mount in parse([line]):
                counts[mount.inode] = counts.get(mount.inode, 0) + 1
                if counts[mount.inode] <= most:
                    found.append(mount)
            match = _ANY.match(line) if len(served) < _SERVED_MAX else None
            if match is not None and _is_served(match):
                served.add(os.fsdecode(_ESCAPE.sub(_unescaped, match.group("path"))))
    return Table(found, frozenset(served), lines)


def _is_served(match: Match[bytes]) -> bool:
    return match.group("kind").decode("ascii", "replace").startswith(_SERVED)


class MountTable:
    """A mount table whose descriptor reports changes: poll() for POLLPRI (proc(5))."""

    def __init__(self, path: str) -> None:
        """Open the mount table of a process; pid 1 has the host's. Raises OSError."""
        self._file = open(path, "rb", buffering=0)

    def fileno(self) -> int:
        """Return the descriptor to wait on, for POLLPRI only, since it is always readable."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the descriptor."""
        self._file.close()


def _unescaped(match: Match[bytes]) -> bytes:
    return bytes([int(match.group(1), 8) & 0xFF])
