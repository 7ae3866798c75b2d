"""One look at the host and at every other namespace, for the commands that need no daemon."""

import functools
import time
from typing import Dict, List, NamedTuple, Tuple

from ipvsd.core import ledger
from ipvsd.core.ledger import Memory
from ipvsd.core.model import Identity, KeyStatus, Module, Policy, Reason, Scope, Seen
from ipvsd.guard import Guard, Target, as_pass
from ipvsd.kernel.namespaces import Finder
from ipvsd.kernel.netns import Visitor
from ipvsd.loop import monotonic_ns
from ipvsd.tour import find


class Survey(NamedTuple):
    """What there is: the state of ip_vs, and the namespaces, the host's first."""

    module: Module
    seen: Tuple[Seen, ...]

    @property
    def keys(self) -> Tuple[KeyStatus, ...]:
        """The guarded keys of all namespaces."""
        return tuple(key for seen in self.seen for key in seen.keys)


def survey(guard: Guard, policy: Policy, root: str, dry: bool) -> Survey:
    """Look into all namespaces that the policy is about, and set what differs unless `dry`.

    A value that plan.hold_until() holds back is waited for. Without root the other namespaces are
    not to be found.
    """
    host = guard.look_at_host(policy, Reason.APPLY, dry=dry)
    looked = {guard.host.identity: host.seen[0]}
    others: List[Target] = []
    visitor = Visitor()
    try:
        if policy.scope is Scope.ALL and host.module.loaded and guard.host.inode != 0:
            others = visitor.call(functools.partial(_find, root))
            looked.update(visitor.call(functools.partial(_visit, guard, policy, others, dry)))
        memory = Memory()
        while not dry and any(seen.again_ns is not None for seen in looked.values()):
            again = {key: seen for key, seen in looked.items() if seen.again_ns is not None}
            memory, _ = ledger.settle(memory, policy, as_pass(again.values(), host.module))
            due_ns = min(seen.again_ns for seen in again.values() if seen.again_ns is not None)
            time.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            known = memory.spaces
            if guard.host.identity in again:
                host = guard.look_at_host(policy, Reason.APPLY, known.get(guard.host.identity))
                looked[guard.host.identity] = host.seen[0]
            left = [
                target._replace(known=known[target.namespace.identity])
                for target in others
                if target.namespace.identity in again
            ]
            looked.update(visitor.call(functools.partial(_visit, guard, policy, left, dry)))
    finally:
        visitor.close()
    return Survey(host.module, tuple(looked.values()))


def _find(root: str) -> List[Target]:
    return [
        Target(place.namespace, Reason.APPLY, None, place.paths)
        for place in find(Finder(root), deep=True)
    ]


def _visit(guard: Guard, policy: Policy, targets: List[Target], dry: bool) -> Dict[Identity, Seen]:
    return {target.namespace.identity: guard.visit(policy, target, dry) for target in targets}
