"""Finds network namespaces by what can hold one: processes, threads, mounts, descriptors."""

import contextlib
import itertools
import os
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from ipvsd.kernel import container_names, mounts, netns_owner
from ipvsd.kernel.container_files import ContainerFiles
from ipvsd.kernel.container_names import ContainerName
from ipvsd.kernel.netns_links import Links
from ipvsd.model import CANARY_NAME, CANARY_PROCESS, HOST_NAME, Identity, Namespace, Owner

# Paths that are kept for each namespace: enough that one still works when members start and end.
_PATHS_MAX = 4
# Holders that are remembered for each namespace. As long as these are the same, the namespace is
# the same, whatever else holds it. There is a limit because a user can mount or open a namespace a
# million times.
_HOLDERS_MAX = 64
# Enough for the cgroup file of cgroup version 1, whose last lines matter most.
_HINT_BYTES = 64 * 1024
_HOSTS = 1  # the process that sees the mounts of the host


class Holder(NamedTuple):
    """Something that keeps a namespace alive: a process, thread, mount or descriptor."""

    path: str  # leads into the namespace
    pid: int = 0
    mount: str = ""
    seen_by: int = 0  # of a mount: the process in whose mount namespace it is
    # Of a mount. It differs if another namespace, with a reused inode number, is mounted at the
    # same path: a mount pins the nsfs inode, whose time of birth is its ctime (fs/nsfs.c).
    birth_ns: int = 0


class FoundHolders(NamedTuple):
    """The result of a scan: the holders of each namespace, and the namespaces that may be new."""

    holders: Dict[Identity, List[Holder]]
    # Namespaces with a holder that the previous scan did not find there. Every other namespace has
    # been held by the same process or mount all the time, so it is still the same namespace.
    maybe_new: Set[Identity]
    deep: bool


def own(root: str = "/") -> Namespace:
    """Return the namespace of the calling process, whose sysctls the process sees."""
    try:
        status = os.stat(os.path.join(root, "proc/self/ns/net"))
    except OSError:  # a kernel without CONFIG_NET_NS: there is only one
        return Namespace(0, 0, HOST_NAME)
    return Namespace(status.st_dev, status.st_ino, HOST_NAME)


class NamespaceFinder:
    """Scans for namespaces, and remembers their holders to recognize those that may be new."""

    def __init__(self, root: str = "/", wary: bool = False) -> None:
        """Remember the root to scan below.

        `wary`, for use after a scan that hung, means to access no path through a mount.
        """
        self._root = root
        self._proc = os.path.join(root, "proc")
        self._wary = wary
        self._own_pid = os.getpid()
        self._home = own(root).identity
        self._before: Dict[Holder, Identity] = {}
        self._hidden: Dict[Holder, Identity] = {}  # what the last deep scan added
        # What describe() reads at most once for each scan.
        self._links: Optional[Links] = None
        self._files: Optional[ContainerFiles] = None

    def scan(self, deep: bool) -> FoundHolders:
        """Return the namespaces other than the guard's own, with their holders.

        Searches processes, the threads of the guard itself, and the mount table of pid 1. A `deep`
        scan, which costs many times more, also searches other threads, the mounts in every other
        mount namespace, and open descriptors.
        """
        self._links = self._files = None
        pids = self._pids()
        holders: Dict[Identity, List[Holder]] = {}
        plain = (self._processes(pids), self._mounts(_HOSTS), self._threads(self._own_pid))
        self._add(holders, itertools.chain(*plain))
        if deep:
            hidden: Dict[Identity, List[Holder]] = {}
            found = self._hidden_holders(pids)
            self._add(hidden, (one for one in found if one[1] not in holders))
            self._hidden = _by_holder(hidden)
            holders.update(hidden)
        else:
            still = (one for one in self._hidden.items() if self._is_there(*one))
            self._add(holders, still)
        before, self._before = self._before, _by_holder(holders)
        maybe_new = {
            ns_state for holder, ns_state in self._before.items() if before.get(holder) != ns_state
        }
        return FoundHolders(holders, maybe_new, deep)

    def _add(
        self,
        holders: Dict[Identity, List[Holder]],
        found: Iterable[Tuple[Holder, Identity]],
    ) -> None:
        """Add the holders of namespaces other than the guard's own, up to the limit for each."""
        for holder, identity in found:
            if identity == self._home:
                continue
            known = holders.setdefault(identity, [])
            if len(known) < _HOLDERS_MAX:
                known.append(holder)

    def describe(self, identity: Identity, holders: List[Holder]) -> Namespace:
        """Return a namespace with the hints that its holders give."""
        mounted = sorted({(holder.mount, holder.seen_by) for holder in holders if holder.mount})
        paths = tuple(path for path, pid in mounted if pid == _HOSTS)
        elsewhere = tuple((path, pid) for path, pid in mounted if pid != _HOSTS)
        pids = [holder.pid for holder in holders if holder.pid]
        if len(set(pids)) == 1 and _is_canary(self._proc, pids[0]):
            return Namespace(*identity, CANARY_NAME, Owner(pid=pids[0]))
        links = self._links_to(identity, paths)
        owner = Owner(mounts=paths, links=links, mounts_elsewhere=elsewhere)
        if pids:
            owner = self._with_member(owner, min(pids))
        return Namespace(*identity, netns_owner.namespace_name(owner, identity[1]), owner)

    def described_again(self, namespace: Namespace) -> Namespace:
        """Return a namespace as the member process that described it does now.

        Without that process, or if it has left the namespace, nothing new is known. Mounts and
        links are not read again.
        """
        pid = namespace.owner.pid
        if pid == 0 or namespace.name == CANARY_NAME and _is_canary(self._proc, pid):
            return namespace
        if _identity(f"{self._proc}/{pid}/ns/net") != namespace.identity:
            return namespace
        self._files = None
        owner = self._with_member(namespace.owner, pid)
        name = netns_owner.namespace_name(owner, namespace.inode)
        return namespace._replace(name=name, owner=owner)

    def _with_member(self, owner: Owner, pid: int) -> Owner:
        text = _hint(f"{self._proc}/{pid}/cgroup")
        cgroup, container, unit = netns_owner.owner_from_cgroup(text)
        command = _hint(f"{self._proc}/{pid}/comm").rstrip("\n")
        if not (container and owner.engine and container == owner.container):
            named = self._container_name(cgroup, container)
            owner = owner._replace(
                engine=named.engine, container_name=named.name, part_of=named.part_of
            )
        return owner._replace(
            cgroup=cgroup, container=container, unit=unit, pid=pid, command=command
        )

    def _links_to(self, identity: Identity, paths: Tuple[str, ...]) -> Tuple[str, ...]:
        if self._wary:
            return ()
        if self._links is None:
            self._links = Links(self._proc)
        return self._links.to(identity, paths)[:_PATHS_MAX]

    def _container_name(self, cgroup: str, container: str) -> ContainerName:
        if container and not self._wary:  # else files may lead through a file system that hangs
            if self._files is None:
                self._files = ContainerFiles(self._root)
            found = self._files.name(container)
            if found.engine:
                return found
        return container_names.from_cgroup(cgroup)

    def _is_there(self, holder: Holder, identity: Identity) -> bool:
        """Return whether a holder still holds a namespace; if unsure, True: a visit finds out."""
        return (self._wary and _is_mount(holder)) or _identity(holder.path) == identity

    def _pids(self) -> List[int]:
        return [int(name) for name in os.listdir(self._proc) if name.isdigit()]

    def _processes(self, pids: List[int]) -> Iterator[Tuple[Holder, Identity]]:
        for pid in pids:
            path = f"{self._proc}/{pid}/ns/net"
            try:
                status = os.stat(path)
            except OSError:
                continue  # the process has ended, or is a zombie, which holds nothing
            yield Holder(path, pid), (status.st_dev, status.st_ino)

    def _threads(self, pid: int) -> Iterator[Tuple[Holder, Identity]]:
        for name in _listed(f"{self._proc}/{pid}/task"):
            path = f"{self._proc}/{pid}/task/{name}/ns/net"
            with contextlib.suppress(OSError):
                status = os.stat(path)
                yield Holder(path, pid), (status.st_dev, status.st_ino)

    def _mounts(self, pid: int) -> Iterator[Tuple[Holder, Identity]]:
        try:
            table = mounts.read(f"{self._proc}/{pid}/mountinfo", _PATHS_MAX)
        except OSError:
            return  # the process has ended
        for mount in table:
            path = f"{self._proc}/{pid}/root{mount.path}"
            birth_ns = 0
            if not self._wary:  # the path may lead through any file system, also one that hangs
                with contextlib.suppress(OSError):
                    birth_ns = os.stat(path).st_ctime_ns
            yield Holder(path, 0, mount.path, pid, birth_ns), (mount.device, mount.inode)

    def _hidden_holders(self, pids: List[int]) -> Iterator[Tuple[Holder, Identity]]:
        searched = {_identity(f"{self._proc}/{_HOSTS}/ns/mnt")}
        for pid in pids:
            mount_namespace = _identity(f"{self._proc}/{pid}/ns/mnt")
            if mount_namespace not in searched and pid != self._own_pid:
                searched.add(mount_namespace)
                yield from self._mounts(pid)
            if pid != self._own_pid:
                yield from self._threads(pid)
                yield from self._descriptors(pid)

    def _descriptors(self, pid: int) -> Iterator[Tuple[Holder, Identity]]:
        folder = f"{self._proc}/{pid}/fd"
        for name in _listed(folder):
            path = f"{folder}/{name}"
            with contextlib.suppress(OSError):
                # The link's text first: reading it never blocks, whatever the descriptor leads to.
                # If the namespace was opened through a mount that no longer exists, the text is
                # the root of that mount: "/".
                text = os.readlink(path)
                if text.startswith("net:[") or (text == "/" and not self._wary):
                    status = os.stat(path)
                    if status.st_dev == self._home[0]:
                        yield Holder(path, pid), (status.st_dev, status.st_ino)


def ways_in(holders: List[Holder]) -> Tuple[str, ...]:
    """Return some paths that lead into a namespace; those of processes first, as the quickest."""
    return tuple(holder.path for holder in sorted(holders, key=_is_mount)[:_PATHS_MAX])


def _is_canary(proc: str, pid: int) -> bool:
    """Return whether a process is the child of this one that makes the canary (proc(5))."""
    name, _, rest = _hint(f"{proc}/{pid}/stat").rpartition(") ")
    return name == f"{pid} ({CANARY_PROCESS}" and rest.split()[1] == str(os.getpid())


def _is_mount(holder: Holder) -> bool:
    return bool(holder.mount)


def _by_holder(holders: Dict[Identity, List[Holder]]) -> Dict[Holder, Identity]:
    return {holder: identity for identity, found in holders.items() for holder in found}


def _identity(path: str) -> Identity:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _hint(path: str) -> str:
    """Return a small file of a process, empty when the process has ended.

    Never used for cmdline: reading it can block.
    """
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(_HINT_BYTES))
    except OSError:
        return ""


def _listed(folder: str) -> Iterator[str]:
    """Yield the names in a folder, one by one: a process may have a million descriptors."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
    except OSError:
        return  # the process has ended
