"""Checks or reads every namespace once, for the commands: no daemon is needed."""

import functools
import time
from typing import Any, Callable, Dict, Generic, List, NamedTuple, Optional, Tuple, TypeVar

from ipvsd.config.policy import rules_for
from ipvsd.enforce.enforcer import Enforcer, Target, check_results
from ipvsd.kernel import netns_discovery
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.kernel.netns_entry import Entrance, Gone
from ipvsd.kernel.netns_holders import ways_in
from ipvsd.model import (
    NS_PER_S,
    VISITS_PROCESS,
    Exit,
    GuardError,
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
from ipvsd.system.progress import Progress
from ipvsd.system.worker import Worker

# A step that takes longer hangs: it opens one path, or visits one namespace.
STEP_LIMIT_S = 20.0
# No command waits longer for values that decide.hold_until() holds (documented in ipvsd(8)).
HELD_LIMIT_NS = 40 * NS_PER_S


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

    Waits for values that decide.hold_until() holds, until HELD_LIMIT_NS have passed. Finds no other
    namespaces without root.
    """
    limit_ns = monotonic_ns() + HELD_LIMIT_NS
    host = enforcer.check_host(policy, Reason.APPLY, dry=dry)
    results = {enforcer.host.identity: host.results[0]}
    others: List[Target] = []
    if policy.scope is Scope.ALL and host.module.loaded and enforcer.host.inode != 0:
        visit = functools.partial(_find_and_visit, enforcer, policy, root, dry)
        others, visited = in_worker(visit)
        results.update(visited)
    held = any(result.retry_at_ns is not None for result in results.values())
    if held and not dry:
        # Only here: the daemon's memory and its events take a fifth of a command's start.
        from ipvsd.enforce import record
        from ipvsd.enforce.memory import Memory

        memory = Memory()
    while not dry and any(result.retry_at_ns is not None for result in results.values()):
        again = {key: result for key, result in results.items() if result.retry_at_ns is not None}
        memory, _ = record.record(memory, policy, check_results(again.values(), host.module))
        due_ns = min(
            result.retry_at_ns for result in again.values() if result.retry_at_ns is not None
        )
        if due_ns > limit_ns:
            break
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
        results.update(in_worker(functools.partial(_visit, enforcer, policy, left, dry)))
    return AllNamespaces(host.module, tuple(results.values()))


Results = Dict[Identity, NamespaceResult]


def _find_and_visit(
    enforcer: Enforcer, policy: Policy, root: str, dry: bool, progress: Progress
) -> Tuple[List[Target], Results]:
    others = [
        Target(place.namespace, Reason.APPLY, None, place.paths)
        for place in find(NamespaceFinder(root, progress.note), deep=True)
    ]
    return others, _visit(enforcer, policy, others, dry, progress)


def _visit(
    enforcer: Enforcer, policy: Policy, targets: List[Target], dry: bool, progress: Progress
) -> Results:
    results = {}
    for target in targets:
        progress.step()
        results[target.namespace.identity] = enforcer.visit(policy, target, dry)
    return results


Result = TypeVar("Result")


class Place(NamedTuple):
    """A namespace other than the host's, and paths that lead into it."""

    namespace: Namespace
    paths: Tuple[str, ...]


class NamespaceReader(Generic[Result]):
    """Reads something in every namespace, again and again; close() ends its process."""

    def __init__(self, policy: Policy, root: str, read: Callable[[], Result]) -> None:
        """Take the function that reads, in the namespace of the process that calls it.

        Without root (uid 0) only the host's namespace is found. Raises OSError.
        """
        self._policy = policy
        self._read = read
        self._root = root
        self._host = netns_discovery.own(root)
        self._entrance = Entrance()
        self._finder: Optional[NamespaceFinder] = None  # in the worker
        self._worker = Worker(self._everywhere, VISITS_PROCESS)

    def read(self) -> List[Tuple[Namespace, Optional[Result]]]:
        """Return the result of the function in each namespace, the host's first.

        The result is None if it raises OSError or the namespace cannot be entered. Namespaces that
        the policy excludes, or that no longer exist, are left out. Raises GuardError.
        """
        found: List[Tuple[Namespace, Optional[Result]]] = _done_by(self._worker)
        return found

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def _everywhere(
        self, _request: None, progress: Progress
    ) -> List[Tuple[Namespace, Optional[Result]]]:
        found: List[Tuple[Namespace, Optional[Result]]] = [(self._host, self._read())]
        if self._policy.scope is Scope.HOST or self._host.inode == 0:
            return found
        deep = self._finder is None  # the first time only: hidden holders are remembered then
        if self._finder is None:
            self._finder = NamespaceFinder(self._root, progress.note)
        for place in find(self._finder, deep):
            namespace = place.namespace
            if rules_for(self._policy, namespace).excluded_by:
                continue
            progress.step()
            try:
                result = self._entrance.visit(place.paths, namespace.identity, self._read)
                found.append((namespace, result))
            except Gone:
                continue
            except OSError:
                found.append((namespace, None))
        return found


def in_worker(job: Callable[[Progress], Result]) -> Result:
    """Do a job that enters other namespaces, in a process of its own.

    Raises GuardError when it hangs or fails.
    """
    worker = Worker(lambda _request, progress: job(progress), VISITS_PROCESS)
    try:
        result: Result = _done_by(worker)
        return result
    finally:
        worker.close()


def _done_by(worker: Worker) -> Any:
    worker.submit(None)
    done = worker.wait(STEP_LIMIT_S)
    if done is None:
        message = (
            "namespaces: reading them hangs, since a file system on the path to one does "
            "not answer; check the NFS and FUSE mounts"
        )
        raise GuardError(message, Exit.CANNOT_TELL)
    if done.error:
        raise GuardError(f"namespaces: they cannot be read: {done.error}", Exit.CANNOT_TELL)
    return done.result


def find(finder: NamespaceFinder, deep: bool) -> List[Place]:
    """Return the namespaces other than the host's; only in a worker process: it may hang."""
    return [
        Place(finder.describe(identity, holders), ways_in(holders))
        for identity, holders in finder.scan(deep).holders.items()
    ]
