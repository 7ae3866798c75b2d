"""One look at the host and at every other namespace, for the commands that need no daemon."""

import functools
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, TypeVar

from ipvsd.config.policy import rules_for
from ipvsd.enforce import record
from ipvsd.enforce.enforcer import Enforcer, Target, check_results
from ipvsd.enforce.memory import Memory
from ipvsd.kernel import netns_discovery, netns_worker
from ipvsd.kernel.netns_discovery import NamespaceFinder, ways_in
from ipvsd.kernel.netns_worker import NamespaceWorker
from ipvsd.model import (
    Identity,
    KeyStatus,
    Module,
    Namespace,
    NamespaceResult,
    Policy,
    Reason,
    Scope,
)
from ipvsd.system.event_loop import monotonic_ns


class AllNamespaces(NamedTuple):
    """What there is: the state of ip_vs, and the namespaces, the host's first."""

    module: Module
    results: Tuple[NamespaceResult, ...]

    @property
    def keys(self) -> Tuple[KeyStatus, ...]:
        """The guarded keys of all namespaces."""
        return tuple(key for result in self.results for key in result.keys)


def check_all(guard: Enforcer, policy: Policy, root: str, dry: bool) -> AllNamespaces:
    """Look into all namespaces that the policy is about, and set what differs unless `dry`.

    A value that plan.hold_until() holds back is waited for. Without root the other namespaces are
    not to be found.
    """
    host = guard.check_host(policy, Reason.APPLY, dry=dry)
    looked = {guard.host.identity: host.results[0]}
    others: List[Target] = []
    worker = NamespaceWorker()
    try:
        if policy.scope is Scope.ALL and host.module.loaded and guard.host.inode != 0:
            others = worker.call(functools.partial(_find, root))
            looked.update(worker.call(functools.partial(_visit, guard, policy, others, dry)))
        memory = Memory()
        while not dry and any(result.retry_at_ns is not None for result in looked.values()):
            again = {
                key: result for key, result in looked.items() if result.retry_at_ns is not None
            }
            memory, _ = record.record(memory, policy, check_results(again.values(), host.module))
            due_ns = min(
                result.retry_at_ns for result in again.values() if result.retry_at_ns is not None
            )
            time.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            known = memory.namespaces
            if guard.host.identity in again:
                host = guard.check_host(policy, Reason.APPLY, known.get(guard.host.identity))
                looked[guard.host.identity] = host.results[0]
            left = [
                target._replace(known=known[target.namespace.identity])
                for target in others
                if target.namespace.identity in again
            ]
            looked.update(worker.call(functools.partial(_visit, guard, policy, left, dry)))
    finally:
        worker.close()
    return AllNamespaces(host.module, tuple(looked.values()))


def _find(root: str) -> List[Target]:
    return [
        Target(place.namespace, Reason.APPLY, None, place.paths)
        for place in find(NamespaceFinder(root), deep=True)
    ]


def _visit(
    guard: Enforcer, policy: Policy, targets: List[Target], dry: bool
) -> Dict[Identity, NamespaceResult]:
    return {target.namespace.identity: guard.visit(policy, target, dry) for target in targets}


Result = TypeVar("Result")


class Place(NamedTuple):
    """A namespace other than the host's, and ways into it."""

    namespace: Namespace
    paths: Tuple[str, ...]


class NamespaceReader:
    """Makes tours; the threads and descriptors that it needs are given back by close()."""

    def __init__(self, policy: Policy, root: str = "/") -> None:
        """Without root (uid 0) the other namespaces are not to be found."""
        self._policy = policy
        self._finder = NamespaceFinder(root)
        self._worker = NamespaceWorker()
        self._host = netns_discovery.own(root)
        self._deep = True  # the first time, and then what is hidden is remembered

    def read(self, read: Callable[[], Result]) -> List[Tuple[Namespace, Optional[Result]]]:
        """Return what a function returns in each namespace, the host's first.

        None where it raises OSError or cannot be entered. Those that the policy excludes, or that
        are gone meanwhile, are left out.
        """
        found = self._worker.call(functools.partial(self._everywhere, read, self._deep))
        self._deep = False
        return found

    def close(self) -> None:
        """End the tours."""
        self._worker.close()

    def _everywhere(
        self, read: Callable[[], Result], deep: bool
    ) -> List[Tuple[Namespace, Optional[Result]]]:
        found: List[Tuple[Namespace, Optional[Result]]] = [(self._host, read())]
        if self._policy.scope is Scope.HOST or self._host.inode == 0:
            return found
        for place in find(self._finder, deep):
            namespace = place.namespace
            if rules_for(self._policy, namespace).excluded_by:
                continue
            try:
                found.append((namespace, netns_worker.enter(place.paths, namespace.identity, read)))
            except netns_worker.Gone:
                continue
            except OSError:
                found.append((namespace, None))
        return found


def find(finder: NamespaceFinder, deep: bool) -> List[Place]:
    """Return the namespaces other than the host's: in a job of a netns.Visitor."""
    return [
        Place(finder.describe(identity, holders), ways_in(holders))
        for identity, holders in finder.scan(deep).holders.items()
    ]
