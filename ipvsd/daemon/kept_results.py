"""Keeps what visits and scans found out until it is recorded, in the order in which it was."""

from collections import deque
from typing import Deque, Dict, FrozenSet, Iterable, List, NamedTuple, Optional

from ipvsd.config.policy import rules_for
from ipvsd.daemon.namespace_jobs import Visited
from ipvsd.enforce import packed
from ipvsd.enforce.packed import PackedResult
from ipvsd.model import Identity, Namespace, NamespaceResult, Policy

# More batches are not kept back: where namespaces come and go all the time, they are recorded too.
_KEPT_MAX = 300


class Collected(NamedTuple):
    """What was found out by a batch of visits, or by a scan."""

    results: List[NamespaceResult]
    # When the scan before began: what was unknown did not exist then, what is gone still did.
    since_ns: Optional[int] = None
    gone: FrozenSet[Identity] = frozenset()


class _Kept(NamedTuple):
    """The same before it is unpacked, with what that takes."""

    policy: Policy
    since_ns: Optional[int]
    results: List[PackedResult] = []
    namespaces: Dict[Identity, Namespace] = {}
    gone: FrozenSet[Identity] = frozenset()


class KeptResults:
    """A queue; unpacking a result takes as much time as a part of a visit, so it is done late."""

    def __init__(self) -> None:
        self._kept: Deque[_Kept] = deque()

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self._kept)

    @property
    def too_many(self) -> bool:
        """Whether to record some, whatever else waits."""
        return len(self._kept) > _KEPT_MAX

    def add_visits(
        self,
        policy: Policy,
        since_ns: Optional[int],
        meant: Iterable[Namespace],
        visited: Visited,
    ) -> None:
        """Add the results of visits to the namespaces that were meant."""
        namespaces = {one.identity: one for one in meant}
        namespaces.update((one.identity, one) for one in visited.described)
        self._kept.append(_Kept(policy, since_ns, visited.results, namespaces))

    def add_gone(self, policy: Policy, since_ns: Optional[int], gone: Iterable[Identity]) -> None:
        """Add that namespaces were not found any more."""
        self._kept.append(_Kept(policy, since_ns, gone=frozenset(gone)))

    def take(self) -> Collected:
        """Return the oldest."""
        kept, results = self._kept.popleft(), []
        for one in kept.results:
            namespace = kept.namespaces[packed.identity_of(one)]
            rules = rules_for(kept.policy, namespace)
            results.append(packed.unpack_result(one, namespace, rules))
        return Collected(results, kept.since_ns, kept.gone)
