"""Finds network namespaces by what can hold one, and describes them."""

import itertools
import os
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from ipvsd.kernel import container_names, netns_owner
from ipvsd.kernel.container_files import FOLDERS, ContainerFiles
from ipvsd.kernel.container_names import ContainerName
from ipvsd.kernel.netns_holders import (
    PATHS_MAX,
    Holder,
    HolderReader,
    hint,
    identity_at,
    is_canary,
    listed,
    table_size,
    user_of,
)
from ipvsd.kernel.netns_links import Links
from ipvsd.kernel.netns_owner import NAMES_FOLDERS
from ipvsd.kernel.search_budgets import Budgets
from ipvsd.model import CANARY_NAME, HOST_NAME, Identity, Namespace, Owner

# Holders that are remembered for each namespace. As long as these are the same, the namespace is
# the same, whatever else holds it. There is a limit because a user can mount or open a namespace a
# million times.
_HOLDERS_MAX = 64
_DESCRIPTORS = "fd"
# Reading so many lines of a mount table costs as much as one thread or descriptor.
_LINES_AN_ENTRY = 4
_HOSTS = 1  # the process that sees the mounts of the host


class FoundHolders(NamedTuple):
    """The result of a scan: the holders of each namespace, and the namespaces that may be new."""

    holders: Dict[Identity, List[Holder]]
    # Namespaces with a holder that the previous scan did not find there. Every other namespace has
    # been held by the same process or mount all the time, so it is still the same namespace.
    maybe_new: Set[Identity]


def own(root: str = "/") -> Namespace:
    """Return the namespace of the calling process, whose sysctls the process sees."""
    try:
        status = os.stat(os.path.join(root, "proc/self/ns/net"))
    except OSError:  # a kernel without CONFIG_NET_NS: there is only one
        return Namespace(0, 0, HOST_NAME)
    return Namespace(status.st_dev, status.st_ino, HOST_NAME)


def is_hosts(root: str = "/") -> Optional[bool]:
    """Return whether the calling process is in the namespace of pid 1; None if that is unknown."""
    try:
        both = [os.stat(os.path.join(root, f"proc/{who}/ns/net")) for who in ("self", "1")]
    except OSError:
        return None
    return os.path.samestat(*both)


class NamespaceFinder:
    """Scans for namespaces, and remembers their holders to recognize those that may be new."""

    def __init__(
        self,
        root: str = "/",
        step: Callable[[str], None] = lambda _path: None,
        ignored: Iterable[int] = (),
    ) -> None:
        """Remember the root to scan below, and the processes that count as no holders.

        `step` is called with each path that may hang, before it is accessed.
        """
        self._root = root
        self._proc = os.path.join(root, "proc")
        self.names_unknown = False  # the last description lacks names: where they are may hang
        self._home = own(root).identity
        self.reader = HolderReader(self._proc, self._home[0], step, {os.getpid(), *ignored})
        self._holders: Dict[Identity, List[Holder]] = {}
        self._before: Dict[Holder, Identity] = {}
        self._hidden: Dict[Holder, Identity] = {}  # what searches have added
        self.budgets = Budgets()
        # What describe() reads at most once for each scan.
        self._links: Optional[Links] = None
        self._files: Optional[ContainerFiles] = None

    def scan(self, deep: bool = False) -> FoundHolders:
        """Return the namespaces other than the guard's own, with their holders.

        Searches processes and the mount table of pid 1, and looks at what search() has found. A
        `deep` scan searches first.
        """
        self._links = self._files = None
        holders: Dict[Identity, List[Holder]] = {}
        if deep:  # only a command makes such a scan, and beside it the daemon visits
            self.reader.ignore_visits()
        _add(holders, self.reader.processes(self.reader.pids()), self._home)
        _add(holders, self.reader.mounts(_HOSTS), self._home)
        before_holders, self._holders = self._holders, holders
        for identity in set(before_holders) - set(holders):
            self._remember(self.reader.kept(identity, before_holders[identity]))
        if deep:
            for _ in self.search():
                pass
        first = not self._before  # then those to remember may be no hidden ones
        self._hidden = {
            holder: identity
            for holder, identity in self._hidden.items()
            if not (first and identity in holders) and self.reader.is_there(holder, identity)
        }
        _add(holders, self._hidden.items(), self._home)
        before, self._before = self._before, _by_holder(holders)
        maybe_new = {
            ns_state for holder, ns_state in self._before.items() if before.get(holder) != ns_state
        }
        return FoundHolders(holders, maybe_new)

    def remember(self, identity: Identity, paths: Iterable[str], served: bool) -> None:
        """Look at paths in the next scan, by which another finder has found a namespace.

        `served` as in Holder.
        """
        for path in paths:
            pid, _, rest = path[len(self._proc) + 1 :].partition("/")
            _, through, mount = f"/{rest}".partition("/root/")
            by_mount = Holder(path, 0, f"/{mount}", int(pid), served=served)
            self._hidden[by_mount if through else Holder(path, int(pid))] = identity

    def look(self, tasks: List[int]) -> FoundHolders:
        """Return the namespaces with a new holder: these tasks, their children, the host's mounts.

        That costs far less than a scan, which finds the same as far as it still exists.
        """
        found: Dict[Identity, List[Holder]] = {}
        for holder, identity in self.reader.tasks_and_children(tasks):
            leader = holder.pid if identity == self._home else self.reader.leader(holder.pid)
            if leader == holder.pid:
                _add(found, [(holder, identity)], self._home)
                continue
            for thread in self.reader.thread(leader, str(holder.pid)):
                _add(found, [thread], self._home)
                self._remember([thread])
        _add(found, self.reader.mounts(_HOSTS), self._home)
        new = {
            identity: [one for one in holders if self._before.get(one) != identity]
            for identity, holders in found.items()
        }
        maybe_new = {identity for identity, holders in new.items() if holders}
        if maybe_new:
            self._links = self._files = None
        for identity in maybe_new:
            # New ones first: others may have held a namespace that had the same number before.
            known = new[identity] + self._holders.get(identity, [])
            self._holders[identity] = known[:_HOLDERS_MAX]
            self._before.update((holder, identity) for holder in new[identity])
        return FoundHolders({one: self._holders[one] for one in maybe_new}, maybe_new)

    def search(self) -> Iterator[bool]:
        """Search, step by step, for namespaces that no scan finds; yield whether one was found.

        Searches threads, the mounts in every other mount namespace, and open descriptors, which
        costs many times more than a scan. The next scan() returns what was found. Each process and
        each user has a budget (Budgets), and the next search goes on where it was spent.
        """
        self.budgets.begin()
        searched = {identity_at(f"{self._proc}/{_HOSTS}/ns/mnt")}
        for pid in self.budgets.in_order(self.reader.pids()):
            user = user_of(f"{self._proc}/{pid}")
            if user is None or self.budgets.is_spent(pid, user):
                continue
            mount_namespace = identity_at(f"{self._proc}/{pid}/ns/mnt")
            if mount_namespace not in searched:
                searched.add(mount_namespace)
                yield self._remember(self.reader.mounts(pid))
                self.budgets.spend(pid, user, "mounts", self.reader.lines // _LINES_AN_ENTRY, 0)
            for one in self._entries(pid, "task", user):
                yield self._remember(self.reader.thread(pid, one))
            for one in self._entries(pid, _DESCRIPTORS, user):
                yield self._remember(self.reader.descriptor(pid, one))

    def _entries(self, pid: int, folder: str, user: int) -> List[str]:
        """Return the names in a folder of a process, as many as the budget allows."""
        path, first = f"{self._proc}/{pid}/{folder}", self.budgets.resumes_at(pid, folder)
        most = self.budgets.left(pid, user)
        if folder == _DESCRIPTORS and first:
            # By number: a folder cannot be read from the middle.
            end = first + most
            names = [str(number) for number in range(first, end)]
            after = end if end < table_size(f"{self._proc}/{pid}/status") else 0
        else:
            names = list(itertools.islice(listed(path), first, first + most + 1))
            after = 0
            if len(names) > most:
                after = int(names.pop()) if folder == _DESCRIPTORS else first + most
        self.budgets.spend(pid, user, folder, len(names), after)
        return names

    def _remember(self, found: Iterable[Tuple[Holder, Identity]]) -> bool:
        """Remember holders of namespaces that no scan finds; return whether one was new."""
        before = len(self._hidden)
        for holder, identity in found:
            if identity != self._home and identity not in self._holders:
                self._hidden[holder] = identity
        return len(self._hidden) > before

    def described(self, identity: Identity) -> Optional[Namespace]:
        """Return a namespace as its holders are now, None if the last scan has not found it."""
        holders = self._holders.get(identity)
        return None if holders is None else self.describe(identity, holders)

    def describe(self, identity: Identity, holders: List[Holder]) -> Namespace:
        """Return a namespace with the hints that its holders give."""
        self.names_unknown = False
        mounted = sorted({(holder.mount, holder.seen_by) for holder in holders if holder.mount})
        paths = tuple(path for path, pid in mounted if pid == _HOSTS)
        elsewhere = tuple((path, pid) for path, pid in mounted if pid != _HOSTS)
        pids = [holder.pid for holder in holders if holder.pid]
        if len(set(pids)) == 1 and is_canary(self._proc, pids[0]):
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
        if pid == 0 or namespace.name == CANARY_NAME and is_canary(self._proc, pid):
            return namespace
        if identity_at(f"{self._proc}/{pid}/ns/net") != namespace.identity:
            return namespace
        self._files = None
        owner = self._with_member(namespace.owner, pid)
        name = netns_owner.namespace_name(owner, namespace.inode)
        return namespace._replace(name=name, owner=owner)

    def _with_member(self, owner: Owner, pid: int) -> Owner:
        text = hint(f"{self._proc}/{pid}/cgroup")
        cgroup, container, unit = netns_owner.owner_from_cgroup(text)
        command = hint(f"{self._proc}/{pid}/comm").rstrip("\n")
        if not (container and owner.engine and container == owner.container):
            named = self._container_name(cgroup, container)
            owner = owner._replace(
                engine=named.engine, container_name=named.name, part_of=named.part_of
            )
        return owner._replace(
            cgroup=cgroup, container=container, unit=unit, pid=pid, command=command
        )

    def _may_hang(self, folders: Iterable[str]) -> bool:
        """Return whether not to read in folders of the host, in which names are, for now."""
        hang = self.reader.wary and any(self.reader.is_served(one) for one in folders)
        self.names_unknown = self.names_unknown or hang
        return hang

    def _links_to(self, identity: Identity, paths: Tuple[str, ...]) -> Tuple[str, ...]:
        if self._may_hang(NAMES_FOLDERS):
            return ()
        if self._links is None:
            self._links = Links(self._proc)
        return self._links.to(identity, paths)[:PATHS_MAX]

    def _container_name(self, cgroup: str, container: str) -> ContainerName:
        if container and not self._may_hang(
            FOLDERS
        ):  # else files may lead through a file system that hangs
            if self._files is None:
                self._files = ContainerFiles(self._root)
            found = self._files.name(container)
            if found.engine:
                return found
        return container_names.from_cgroup(cgroup)


def _add(
    holders: Dict[Identity, List[Holder]],
    found: Iterable[Tuple[Holder, Identity]],
    home: Identity,
) -> None:
    """Add the holders of namespaces other than the guard's own, up to the limit for each."""
    for holder, identity in found:
        if identity == home:
            continue
        known = holders.setdefault(identity, [])
        if len(known) < _HOLDERS_MAX:
            known.append(holder)


def _by_holder(holders: Dict[Identity, List[Holder]]) -> Dict[Holder, Identity]:
    return {holder: identity for identity, found in holders.items() for holder in found}
