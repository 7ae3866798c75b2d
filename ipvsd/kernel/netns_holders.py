"""Reads what holds network namespaces: processes, threads, mounts, descriptors."""

import contextlib
import itertools
import os
import re
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from ipvsd.kernel import mounts
from ipvsd.model import CANARY_PROCESS, VISITS_PROCESS, Identity

# Paths that are kept for each namespace: enough that one still works when members start and end.
PATHS_MAX = 4
# Of a process that has left a namespace, so many descriptors are looked at.
_KEPT_MAX = 256
_HOSTS = 1  # the process that sees the mounts of the host
# Enough for the cgroup file of cgroup version 1, whose last lines matter most.
_HINT_BYTES = 64 * 1024
# That a look looks at, of all tasks.
_CHILDREN_MAX = 256


class Holder(NamedTuple):
    """Something that keeps a namespace alive: a process, thread, mount or descriptor."""

    path: str  # leads into the namespace
    pid: int = 0
    mount: str = ""
    seen_by: int = 0  # of a mount: the process in whose mount namespace it is
    # Of a mount. It differs if another namespace, with a reused inode number, is mounted at the
    # same path: a mount pins the nsfs inode, whose time of birth is its ctime (fs/nsfs.c).
    birth_ns: int = 0
    served: bool = False  # of a mount: the path leads through a file system that may hang


Held = Iterator[Tuple[Holder, Identity]]


class HolderReader:
    """Reads one kind of holder of one process, or all processes of a procfs."""

    def __init__(
        self, proc: str, device: int, step: Callable[[str], None], ignored: Set[int]
    ) -> None:
        """Take the path of procfs, the device of all network namespaces (st_dev of nsfs).

        `step` is called with each path that may hang, before it is accessed; `ignored` processes
        hold nothing.
        """
        self.wary = False  # access no path below a file system that somebody serves
        self.lines = 0  # of the mount table that was read last
        self.ignored = ignored
        self._hosts = mounts.Table([], frozenset(), 0)
        self._proc = proc
        self._device = device
        self._step = step

    def pids(self) -> List[int]:
        """Return all processes that are not ignored."""
        found = [int(name) for name in os.listdir(self._proc) if name.isdigit()]
        return [pid for pid in found if pid not in self.ignored]

    def ignore_visits(self) -> None:
        """Ignore the processes of the guard that are in a namespace only for a visit."""
        for pid in self.pids():
            path = f"{self._proc}/{pid}"
            # Nobody but root can hide a process of theirs by this name.
            if hint(f"{path}/comm").rstrip() == VISITS_PROCESS and user_of(path) == 0:
                self.ignored.add(pid)

    def processes(self, pids: List[int]) -> Held:
        """Yield the namespaces that processes are in."""
        for pid in pids:
            path = f"{self._proc}/{pid}/ns/net"
            try:
                status = os.stat(path)
            except OSError:
                continue  # the process has ended, or is a zombie, which holds nothing
            yield Holder(path, pid), (status.st_dev, status.st_ino)

    def thread(self, pid: int, name: str) -> Held:
        """Yield the namespace that a thread is in."""
        path = f"{self._proc}/{pid}/task/{name}/ns/net"
        with contextlib.suppress(OSError):
            status = os.stat(path)
            yield Holder(path, pid), (status.st_dev, status.st_ino)

    def tasks_and_children(self, tasks: List[int]) -> Held:
        """Yield the namespaces of tasks, which may be threads, and of their youngest children."""
        yield from self.processes([task for task in tasks if task not in self.ignored])
        left = _CHILDREN_MAX
        for task in tasks:
            # In the order of their births; the file is there with CONFIG_PROC_CHILDREN (proc(5)).
            children = hint(f"{self._proc}/{task}/task/{task}/children").split()
            some = [int(child) for child in children[max(0, len(children) - left) :]]
            left -= len(some)
            yield from self.processes([child for child in some if child not in self.ignored])

    def leader(self, task: int) -> int:
        """Return the process of a thread, or of a process itself; 0 when it has ended."""
        return _number("Tgid", f"{self._proc}/{task}/status")

    def mounts(self, pid: int) -> Held:
        """Yield the namespaces that are mounted where a process sees it."""
        try:
            table = mounts.read(f"{self._proc}/{pid}/mountinfo", PATHS_MAX)
        except OSError:
            return  # the process has ended
        self.lines = table.lines
        if pid == _HOSTS:
            self._hosts = table
        for mount in table.namespaces:
            path = f"{self._proc}/{pid}/root{mount.path}"
            may_hang = table.is_served(mount.path)
            birth_ns = 0
            if not (self.wary and may_hang):
                self._step(path)
                with contextlib.suppress(OSError):
                    birth_ns = os.stat(path).st_ctime_ns
            holder = Holder(path, 0, mount.path, pid, birth_ns, may_hang)
            yield holder, (mount.device, mount.inode)

    def descriptor(self, pid: int, name: str) -> Held:
        """Yield the namespace that a descriptor has open, if it is one."""
        path = f"{self._proc}/{pid}/fd/{name}"
        with contextlib.suppress(OSError):
            # The link's text first: reading it never blocks, whatever the descriptor leads to.
            # If the namespace was opened through a mount that no longer exists, the text is the
            # root of that mount: "/".
            text = os.readlink(path)
            if text.startswith("net:[") or (text == "/" and not self.wary):
                self._step(path)
                status = os.stat(path)
                if status.st_dev == self._device:
                    yield Holder(path, pid), (status.st_dev, status.st_ino)

    def kept(self, identity: Identity, holders: Iterable[Holder]) -> Held:
        """Yield descriptors by which processes keep a namespace that they have left."""
        for pid in sorted({holder.pid for holder in holders if holder.pid}):
            for name in itertools.islice(listed(f"{self._proc}/{pid}/fd"), _KEPT_MAX):
                for one in self.descriptor(pid, name):
                    if one[1] == identity:
                        yield one

    def is_served(self, path: str) -> bool:
        """Return whether a path of the host leads through a file system that may hang."""
        return self._hosts.is_served(path)

    def is_there(self, holder: Holder, identity: Identity) -> bool:
        """Return whether a holder still holds a namespace; if unsure, True: a visit finds out."""
        self._step(holder.path)
        return (self.wary and bool(holder.mount)) or identity_at(holder.path) == identity


def identity_at(path: str) -> Identity:
    """Return the identity of the file at a path, (0, 0) if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def user_of(path: str) -> Optional[int]:
    """Return the user of a process, None when it has ended."""
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def table_size(path: str) -> int:
    """Return how many descriptors the table of a process has room for, 0 when it has ended."""
    return _number("FDSize", path)


def _number(name: str, path: str) -> int:
    """Return a number from the status of a process, 0 when it has ended."""
    match = re.search(rf"^{name}:\s*(\d+)", hint(path), re.MULTILINE)
    return int(match.group(1)) if match is not None else 0


def hint(path: str) -> str:
    """Return a small file of a process, empty when the process has ended.

    Never used for cmdline: reading it can block.
    """
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(_HINT_BYTES))
    except OSError:
        return ""


def listed(folder: str) -> Iterator[str]:
    """Yield the names in a folder, one by one: a process may have a million descriptors."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
    except OSError:
        return  # the process has ended


def ways_in(holders: List[Holder], wary: bool = False) -> Tuple[str, ...]:
    """Return some paths that lead into a namespace: those of processes first, as the quickest.

    Those that may hang come last; to be `wary` leaves them out.
    """
    ways = sorted((one for one in holders if not (wary and one.served)), key=_slowness)
    return tuple(holder.path for holder in ways[:PATHS_MAX])


def hang_all(holders: List[Holder]) -> bool:
    """Return whether all paths into a namespace lead through a file system that may hang."""
    return all(holder.served for holder in holders)


def _slowness(holder: Holder) -> Tuple[bool, bool]:
    return holder.served, bool(holder.mount)


def is_canary(proc: str, pid: int) -> bool:
    """Return whether a process is the guard's child that makes the canary (proc(5), stat).

    The guard is this process, or the one that has forked this one as its worker.
    """
    name, _, rest = hint(f"{proc}/{pid}/stat").rpartition(") ")
    own = (str(os.getpid()), str(os.getppid()))
    return name == f"{pid} ({CANARY_PROCESS}" and rest.split()[1] in own
