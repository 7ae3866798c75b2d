"""Does the jobs of the worker process: scans, searches a little, visits. It decides nothing."""

import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config.policy import depends_on_owner
from ipvsd.enforce import packed
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.enforce.packed import PackedResult, PackedTarget
from ipvsd.kernel import netns_entry, netns_owner
from ipvsd.kernel.netns_discovery import FoundHolders, NamespaceFinder
from ipvsd.kernel.netns_holders import hang_all, ways_in
from ipvsd.model import Identity, Namespace, Owner, Policy
from ipvsd.system.progress import Progress

# A search yields to visits and scans after so much CPU time.
SEARCH_SLICE_S = 0.025


class Place(NamedTuple):
    """A namespace other than the host's, and how to get there."""

    namespace: Namespace
    paths: Tuple[str, ...]  # lead into it
    foreign: bool  # another user namespace owns it: nobody may change its sysctls
    served: bool  # the paths, or what its names are in, may hang: not visited by who is wary


Places = Dict[Identity, Place]


class Scanned(NamedTuple):
    """What a scan found that is not as it was before."""

    places: Places  # new ones, and those with other paths
    gone: List[Identity]
    maybe_new: List[Identity]  # may be other namespaces than those known by the same identity
    cpu_ns: int


class Searched(NamedTuple):
    """What a slice of a search came to."""

    found: bool  # holders that the next scan returns
    ended: bool
    large: List[int]  # processes with more than a search may cost, each only once
    cpu_ns: int


class Visited(NamedTuple):
    """The results of visits, in their order."""

    results: List[PackedResult]
    described: List[Namespace]  # whose owner or name has changed
    cpu_ns: int
    procfs: str  # why the shared procfs had to be used, empty if it had not


class Look(NamedTuple):
    """A request to look where births were caused, for what is new."""

    wary: bool  # access no file system that may hang
    tasks: List[int]  # that have caused births


class Scan(NamedTuple):
    """A request to scan."""

    wary: bool  # access no file system that may hang
    full: bool  # all namespaces are to be visited after it


class Search(NamedTuple):
    """A request to go on searching for namespaces that no scan finds."""

    wary: bool
    anew: bool


class Visit(NamedTuple):
    """A request to visit namespaces."""

    targets: List[PackedTarget]
    describe: bool  # anew: a member may have moved to another control group
    foreign: bool  # another user namespace owns them


class NamespaceJobs:
    """The state of the worker process: what it has found so far."""

    def __init__(
        self, enforcer: Enforcer, policy: Policy, root: str, places: Places, ignored: Sequence[int]
    ) -> None:
        """Begin with the places that are known; processes that are `ignored` hold nothing."""
        self._enforcer = enforcer
        self._policy = policy
        self._root = root
        self._ignored = ignored
        self._places = places
        self._finder: Optional[NamespaceFinder] = None
        self._search: Iterator[bool] = iter(())

    def __call__(self, request: Any, progress: Progress) -> Any:
        """Do one job."""
        if self._finder is None:  # in the worker process, whose pid the finder has to know
            self._finder = NamespaceFinder(self._root, progress.note, self._ignored)
            for identity, place in self._places.items():
                self._finder.remember(identity, place.paths, place.served)
        if isinstance(request, Visit):
            return self._visit(self._finder, request, progress)
        self._finder.reader.wary = request.wary
        if isinstance(request, Search):
            return self._go_on_searching(self._finder, request.anew)
        if isinstance(request, Look):
            return self._look(self._finder, request)
        return self._scan(self._finder, request.wary)

    def _scan(self, finder: NamespaceFinder, wary: bool) -> Scanned:
        began_ns = _cpu_ns()
        found = finder.scan()
        changed = self._changed(finder, found, wary)
        gone = [identity for identity in self._places if identity not in found.holders]
        for identity in gone:
            del self._places[identity]
        return Scanned(changed, gone, list(found.maybe_new), _cpu_ns() - began_ns)

    def _look(self, finder: NamespaceFinder, request: Look) -> Scanned:
        began_ns = _cpu_ns()
        found = finder.look(request.tasks)
        changed = self._changed(finder, found, request.wary)
        return Scanned(changed, [], list(found.maybe_new), _cpu_ns() - began_ns)

    def _changed(self, finder: NamespaceFinder, found: FoundHolders, wary: bool) -> Places:
        """Return the places that are new, or have other paths, and remember them."""
        changed: Places = {}
        for identity, holders in found.holders.items():
            known, served = self._places.get(identity), hang_all(holders)
            paths = ways_in(holders, wary and not served)
            if known is not None and identity not in found.maybe_new and known.paths == paths:
                continue
            foreign = not (wary and served) and netns_entry.owned_elsewhere(paths, identity)
            if foreign:  # described by its visit: a user can have thousands
                namespace = Namespace(*identity, netns_owner.namespace_name(Owner(), identity[1]))
            else:
                namespace = finder.describe(identity, holders)
                # While its names cannot be read, no rule can exclude it: it is not visited then.
                served = served or (finder.names_unknown and depends_on_owner(self._policy))
            changed[identity] = Place(namespace, paths, foreign, served)
        self._places.update(changed)
        return changed

    def _go_on_searching(self, finder: NamespaceFinder, anew: bool) -> Searched:
        began_ns = _cpu_ns()
        if anew:
            self._search = finder.search()
        found = ended = False
        while not ended and _cpu_ns() - began_ns < SEARCH_SLICE_S * 1e9:
            step = next(self._search, None)
            found, ended = found or bool(step), step is None
        return Searched(found, ended, finder.budgets.take_large(), _cpu_ns() - began_ns)

    def _visit(self, finder: NamespaceFinder, request: Visit, progress: Progress) -> Visited:
        began_ns = _cpu_ns()
        results: List[PackedResult] = []
        described: List[Namespace] = []
        procfs = self._enforcer.kernel.procfs
        for number, target in enumerate(request.targets):
            place = self._places.get(target[0])
            if place is None:
                continue  # a scan has not found it any more
            progress.step(number)
            if request.describe or request.foreign:
                place = self._described_anew(finder, place, described)
            result = self._enforcer.visit(
                self._policy, packed.unpack_target(target, place.namespace, place.paths)
            )
            if result.namespace != place.namespace:
                described.append(result.namespace)
                self._places[target[0]] = place._replace(namespace=result.namespace)
            results.append(packed.pack_result(result, place.namespace))
        self._enforcer.kernel.end_batch()
        return Visited(results, described, _cpu_ns() - began_ns, procfs.unavailable)

    def _described_anew(
        self, finder: NamespaceFinder, place: Place, described: List[Namespace]
    ) -> Place:
        identity = place.namespace.identity
        namespace = finder.described(identity)
        if namespace is None or namespace == place.namespace:
            return place
        described.append(namespace)
        self._places[identity] = place._replace(namespace=namespace)
        return self._places[identity]


def _cpu_ns() -> int:
    return int(time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) * 1e9)
