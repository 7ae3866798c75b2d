"""Checks or reads every namespace once, for the commands: no daemon is needed."""

import functools
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, TypeVar

from ipvsd.config.policy import rules_for
from ipvsd.enforce.enforcer import Enforcer, Target, check_results
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
    """The state of ip_vs, and the results of all namespaces, the host's first."""

    module: Module
    results: Tuple[NamespaceResult, ...]

    @property
    def keys(self) -> Tuple[KeyStatus, ...]:
        """The guarded keys of all namespaces."""
        return tuple(key for result in self.results for key in result.keys)


def check_all(enforcer: Enforcer, policy: Policy, root: str, dry: bool) -> AllNamespaces:
    """Check all namespaces that the policy is about, and set what differs unless `dry`.

    Waits for values that decide.hold_until() holds. Finds no other namespaces without root.
    """
    host = enforcer.check_host(policy, Reason.APPLY, dry=dry)
    results = {enforcer.host.identity: host.results[0]}
    others: List[Target] = []
    worker = NamespaceWorker()
    try:
        if policy.scope is Scope.ALL and host.module.loaded and enforcer.host.inode != 0:
            others = worker.call(functools.partial(_find, root))
            results.update(worker.call(functools.partial(_visit, enforcer, policy, others, dry)))
        held = any(result.retry_at_ns is not None for result in results.values())
        if held and not dry:
            # Only here: the daemon's memory and its events take a fifth of a command's start.
            from ipvsd.enforce import record
            from ipvsd.enforce.memory import Memory

            memory = Memory()
        while not dry and any(result.retry_at_ns is not None for result in results.values()):
            again = {
                key: result for key, result in results.items() if result.retry_at_ns is not None
            }
            memory, _ = record.record(memory, policy, check_results(again.values(), host.module))
            due_ns = min(
                result.retry_at_ns for result in again.values() if result.retry_at_ns is not None
            )
            time.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            known = memory.namespaces
            if enforcer.host.identity in again:
                host = enforcer.check_host(policy, Reason.APPLY, known.get(enforcer.host.identity))
                results[enforcer.host.identity] = host.results[0]
            left = [
                target._replace(known=known[target.namespace.identity])
                for target in others
                if target.namespace.identity in again
            ]
            results.update(worker.call(functools.partial(_visit, enforcer, policy, left, dry)))
    finally:
        worker.close()
    return AllNamespaces(host.module, tuple(results.values()))


def _find(root: str) -> List[Target]:
    return [
        Target(place.namespace, Reason.APPLY, None, place.paths)
        for place in find(NamespaceFinder(root), deep=True)
    ]


def _visit(
    enforcer: Enforcer, policy: Policy, targets: List[Target], dry: bool
) -> Dict[Identity, NamespaceResult]:
    return {target.namespace.identity: enforcer.visit(policy, target, dry) for target in targets}


Result = TypeVar("Result")


class Place(NamedTuple):
    """A namespace other than the host's, and paths that lead into it."""

    namespace: Namespace
    paths: Tuple[str, ...]


class NamespaceReader:
    """Reads something in every namespace, again and again; close() frees its thread."""

    def __init__(self, policy: Policy, root: str = "/") -> None:
        """Prepare; without root (uid 0) only the host's namespace is found."""
        self._policy = policy
        self._finder = NamespaceFinder(root)
        self._worker = NamespaceWorker()
        self._host = netns_discovery.own(root)
        self._deep = True  # the first time only: hidden holders are remembered then

    def read(self, read: Callable[[], Result]) -> List[Tuple[Namespace, Optional[Result]]]:
        """Return the result of a function in each namespace, the host's first.

        The result is None if it raises OSError or the namespace cannot be entered. Namespaces that
        the policy excludes, or that no longer exist, are left out.
        """
        found = self._worker.call(functools.partial(self._everywhere, read, self._deep))
        self._deep = False
        return found

    def close(self) -> None:
        """End the thread."""
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
    """Return the namespaces other than the host's; only in a NamespaceWorker's job."""
    return [
        Place(finder.describe(identity, holders), ways_in(holders))
        for identity, holders in finder.scan(deep).holders.items()
    ]
