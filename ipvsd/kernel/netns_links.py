"""Reads the symbolic links that name network namespaces beside the mounts of `ip netns add`.

To make ip(8) know a container, people link /run/netns/NAME to /proc/PID/ns/net, or to the mount
that the container's engine made.
"""

import os
import re
from typing import Dict, Iterator, List, Set, Tuple

from ipvsd.kernel.netns_owner import NAMES_FOLDERS
from ipvsd.model import Identity

_PROCESS = re.compile(r"/proc/(?P<rest>[0-9]{1,10}(?:/task/[0-9]{1,10})?/ns/net)", re.ASCII)


class Links:
    """The links at one moment: hints for people, and nothing that holds a namespace."""

    def __init__(self, proc: str) -> None:
        """Read the links that pid 1 sees; `proc` is the mounted procfs.

        No link is followed, since it may lead into a file system that hangs: its text, taken as a
        path without further links, says where it leads, and only a path of a process is then looked
        at, in procfs.
        """
        self._by_identity: Dict[Identity, List[str]] = {}
        self._by_path: Dict[str, List[str]] = {}
        searched: Set[Identity] = set()
        for folder in NAMES_FOLDERS:
            for path, text in _read(f"{proc}/1/root", folder, searched):
                target = _resolved(folder, text)
                match = _PROCESS.fullmatch(target)
                if match is None:
                    self._by_path.setdefault(target, []).append(path)
                    continue
                try:
                    status = os.stat(f"{proc}/{match.group('rest')}")
                except OSError:
                    continue  # the process has ended
                identity = (status.st_dev, status.st_ino)
                self._by_identity.setdefault(identity, []).append(path)

    def to(self, identity: Identity, mounts: Tuple[str, ...]) -> Tuple[str, ...]:
        """Return the paths of the links to a namespace that is mounted at these paths."""
        paths = list(self._by_identity.get(identity, ()))
        for mount in mounts:
            paths += self._by_path.get(_in_run(mount), ())
        return tuple(sorted(paths))


def _read(root: str, folder: str, searched: Set[Identity]) -> Iterator[Tuple[str, str]]:
    """Yield path and text of each link in a folder that was not searched under another name."""
    try:
        status = os.stat(root + folder)
        if (status.st_dev, status.st_ino) in searched:
            return
        searched.add((status.st_dev, status.st_ino))
        with os.scandir(root + folder) as entries:
            names = [entry.name for entry in entries if entry.is_symlink()]
    except OSError:
        return  # no namespace has a name, or the caller may not see what pid 1 sees
    for name in names:
        try:
            yield f"{folder}/{name}", os.readlink(f"{root}{folder}/{name}")
        except OSError:
            continue  # just removed


def _resolved(folder: str, text: str) -> str:
    # Without a second slash at the beginning, which normpath() keeps.
    path = "/" + os.path.join(folder, text).lstrip("/")
    return _in_run(os.path.normpath(_in_run(path)))


def _in_run(path: str) -> str:
    return path[len("/var") :] if path.startswith("/var/run/") else path
