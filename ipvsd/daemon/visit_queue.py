"""Decides which namespaces wait for a visit, and in which order."""

import itertools
from typing import Callable, Dict, Iterable, List, Optional, Set

from ipvsd.daemon.namespace_jobs import Places, Scanned
from ipvsd.daemon.put_aside import PutAside
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import FOREIGN, Identity, Namespace, NamespaceResult
from ipvsd.status.metrics import Traffic

# Small, so that an urgent visit soon has its turn; large, so that handing over costs little.
VISITS_A_JOB = 64


class VisitQueue:
    """Namespaces that wait for a visit: urgent ones, then the rest of a full scan, then foreign.

    Nobody may change the values of a foreign namespace, which any user can create, a thousand if
    they like: these wait until nothing else does, and are visited once.
    """

    def __init__(self) -> None:
        self.places: Places = {}
        self.urgent: Dict[Identity, None] = {}  # new, or due for a retry
        self.rest: Dict[Identity, None] = {}
        self.foreign: Dict[Identity, None] = {}
        self.maybe_new: Set[Identity] = set()  # until they are visited
        self._retry_at: Dict[Identity, int] = {}
        self.aside = PutAside()
        self.traffic: Dict[Identity, Traffic] = {}  # where services are, as of the last visit
        # As counted at the last visit, even if that was under another load of ip_vs.
        self._estimators: Dict[Identity, int] = {}

    @property
    def waiting(self) -> bool:
        """Whether any visit waits, foreign ones apart."""
        return bool(self.urgent or self.rest)

    def retry_at_ns(self) -> Optional[int]:
        """Return when the next retry is due, None if there is none."""
        moments = [*self._retry_at.values(), self.aside.next_ns()]
        return min((moment for moment in moments if moment is not None), default=None)

    def barred_count(self, wary: bool) -> int:
        """Return how many namespaces are not visited now, since the way into them hangs."""
        return sum(one in self.aside or self.is_barred(one, wary) for one in self.places)

    def clear(self) -> None:
        """Let nothing wait any more: ip_vs is not loaded."""
        self.traffic = {}
        self.urgent, self.rest, self.foreign, self._retry_at = {}, {}, {}, {}

    def restart(self, with_aside: bool) -> None:
        """Begin a full scan: all known namespaces wait, those first that have most estimators.

        What was put aside does `with_aside`.
        """
        if with_aside:
            self.aside.clear()
        own = [
            identity
            for identity, place in self.places.items()
            if not (place.foreign or identity in self.aside or identity in self.urgent)
        ]
        self.rest = dict.fromkeys(sorted(own, key=lambda one: -self._estimators.get(one, 0)))

    def leave_out(self, identities: Set[Identity]) -> None:
        """Let those wait no longer that were set while ip_vs was being loaded."""
        for identity in identities:
            self.urgent.pop(identity, None)
            self.rest.pop(identity, None)

    def add_found(self, found: Scanned) -> None:
        """Take over what a scan has found: what may be new is urgent."""
        self.places.update(found.places)
        for identity in found.gone:
            self.places.pop(identity, None)
            for waiting in (self.urgent, self.rest, self.foreign, self._retry_at):
                waiting.pop(identity, None)
            self.traffic.pop(identity, None)
            self._estimators.pop(identity, None)
            self.maybe_new.discard(identity)
        self.aside.remove(found.gone)
        self.maybe_new |= set(found.maybe_new)
        new = [one for one in found.maybe_new if one not in self.aside]
        own = [one for one in new if not self.places[one].foreign]
        self.urgent.update(dict.fromkeys(in_turn(own, self._cgroup)))
        self.foreign.update((one, None) for one in new if self.places[one].foreign)

    def add_due_retries(self, now_ns: int) -> None:
        """Make the retries urgent that are due."""
        due = [identity for identity, at_ns in self._retry_at.items() if at_ns <= now_ns]
        for identity in due:
            del self._retry_at[identity]
        self.urgent.update(dict.fromkeys(due + self.aside.due(now_ns)))

    def take(self, wary: bool) -> List[Identity]:
        """Return the next batch, and let it wait no longer.

        While `wary`, the ways that may hang are not taken.
        """
        waiting = self.urgent or self.rest or self.foreign
        batch = list(itertools.islice(waiting, VISITS_A_JOB))
        for identity in batch:
            del waiting[identity]
        return [one for one in batch if one in self.places and not self.is_barred(one, wary)]

    def give_back(self, batch: Iterable[Identity]) -> None:
        """Let namespaces wait again that were taken and not visited."""
        self.urgent = {**dict.fromkeys(batch), **self.urgent}

    def note_visits(self, batch: Iterable[Identity], described: Iterable[Namespace]) -> None:
        """Note that namespaces were visited, and what was found out about the owners of some."""
        self.maybe_new.difference_update(batch)
        self.aside.remove(batch)
        for namespace in described:
            place = self.places.get(namespace.identity)
            if place is not None:
                self.places[namespace.identity] = place._replace(namespace=namespace)

    def note_result(self, result: NamespaceResult) -> None:
        """Take over the result of a visit."""
        identity = result.namespace.identity
        if identity not in self.places:
            return
        if result.retry_at_ns is not None:
            self._retry_at[identity] = result.retry_at_ns
        if result.estimators is not None:
            self._estimators[identity] = result.estimators
        self.traffic.pop(identity, None)
        if result.counters is not None and not any(key.state in FOREIGN for key in result.keys):
            estimators, counters = result.estimators or 0, Counters(*result.counters)
            self.traffic[identity] = Traffic(result.namespace, estimators, counters)

    def is_barred(self, identity: Identity, wary: bool) -> bool:
        """Return whether the way into a namespace may hang, and who is `wary` does not take it."""
        return wary and self.places[identity].served

    def _cgroup(self, identity: Identity) -> str:
        return self.places[identity].namespace.owner.cgroup


def in_turn(namespaces: List[Identity], group_of: Callable[[Identity], str]) -> List[Identity]:
    """Return namespaces in an order in which each group of them has its turn."""
    groups: Dict[str, List[Identity]] = {}
    for identity in namespaces:
        groups.setdefault(group_of(identity), []).append(identity)
    rounds = itertools.zip_longest(*groups.values())
    return [identity for one_round in rounds for identity in one_round if identity is not None]
