"""Decides which namespaces wait for a visit, and in which order."""

import itertools
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Set

from ipvsd.daemon.namespace_jobs import Places, Scanned
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import NS_PER_S, Identity, Namespace, NamespaceResult, State
from ipvsd.status.metrics import Traffic

# Small, so that an urgent visit soon has its turn; large, so that handing over costs little.
VISITS_A_JOB = 64
# What hangs is visited again after so long, then after twice as long, and so on.
ASIDE_MIN_NS = 30 * NS_PER_S
ASIDE_MAX_NS = 600 * NS_PER_S

# Any user can make such a namespace, with a name and services of their choice.
FOREIGN = (State.HIDDEN, State.READ_ONLY)


class Aside(NamedTuple):
    """A namespace whose way hangs."""

    times: int
    until_ns: int


class VisitQueue:
    """Namespaces that wait for a visit: urgent ones, then the rest of a full scan, then foreign.

    Nobody may change the values of a foreign namespace, which any user can create, a thousand if
    they like: these wait until nothing else does, and are visited once.
    """

    def __init__(self) -> None:
        self.places: Places = {}
        self._urgent: Dict[Identity, None] = {}  # new, or due for a retry
        self._rest: Dict[Identity, None] = {}
        self._foreign: Dict[Identity, None] = {}
        self._maybe_new: Set[Identity] = set()  # until they are visited
        self._retry_at: Dict[Identity, int] = {}
        self._aside: Dict[Identity, Aside] = {}
        self.traffic: Dict[Identity, Traffic] = {}  # where services are, as of the last visit
        # As counted at the last visit, even if that was under another load of ip_vs.
        self._estimators: Dict[Identity, int] = {}

    @property
    def has_urgent(self) -> bool:
        """Whether an urgent visit waits."""
        return bool(self._urgent)

    @property
    def has_rest(self) -> bool:
        """Whether a visit of a full scan waits."""
        return bool(self._rest)

    @property
    def has_foreign(self) -> bool:
        """Whether a foreign namespace waits."""
        return bool(self._foreign)

    @property
    def waiting(self) -> bool:
        """Whether any visit waits, foreign ones apart."""
        return bool(self._urgent or self._rest)

    def retry_at_ns(self) -> Optional[int]:
        """Return when the next retry is due, None if there is none."""
        hung = (one.until_ns for one in self._aside.values())
        return min(itertools.chain(self._retry_at.values(), hung), default=None)

    def put_aside_count(self, wary: bool) -> int:
        """Return how many namespaces are not visited now, since the way into them hangs."""
        return len(self._aside.keys() | {one for one in self.places if self._is_barred(one, wary)})

    def clear(self) -> None:
        """Let nothing wait any more: ip_vs is not loaded."""
        self.traffic = {}
        self._urgent, self._rest, self._foreign, self._retry_at = {}, {}, {}, {}

    def restart(self, with_aside: bool) -> None:
        """Begin a full scan: all known namespaces wait, those first that have most estimators.

        What was put aside does `with_aside`.
        """
        if with_aside:
            self._aside = {}
        own = [
            identity
            for identity, place in self.places.items()
            if not (place.foreign or identity in self._aside or identity in self._urgent)
        ]
        self._rest = dict.fromkeys(sorted(own, key=lambda one: -self._estimators.get(one, 0)))

    def add_found(self, found: Scanned) -> None:
        """Take over what a scan has found: what may be new is urgent."""
        self.places.update(found.places)
        for identity in found.gone:
            self.places.pop(identity, None)
            for waiting in (self._urgent, self._rest, self._foreign, self._retry_at, self._aside):
                waiting.pop(identity, None)
            self.traffic.pop(identity, None)
            self._estimators.pop(identity, None)
            self._maybe_new.discard(identity)
        self._maybe_new |= set(found.maybe_new)
        new = [one for one in found.maybe_new if not self.places[one].foreign]
        self._urgent.update(dict.fromkeys(in_turn(new, self._group)))
        self._foreign.update(dict.fromkeys(set(found.maybe_new) - set(new)))

    def add_due_retries(self, now_ns: int) -> None:
        """Make the retries urgent that are due."""
        due = [identity for identity, at_ns in self._retry_at.items() if at_ns <= now_ns]
        for identity in due:
            del self._retry_at[identity]
        due += [identity for identity, one in self._aside.items() if one.until_ns <= now_ns]
        for identity in due:
            if identity in self._aside:  # in case that it is not even visited
                again_ns = now_ns + ASIDE_MAX_NS
                self._aside[identity] = self._aside[identity]._replace(until_ns=again_ns)
        self._urgent.update(dict.fromkeys(due))

    def take(self, wary: bool) -> List[Identity]:
        """Return the next batch, and let it wait no longer.

        While `wary`, the ways that may hang are not taken.
        """
        waiting = self._urgent or self._rest or self._foreign
        batch = list(itertools.islice(waiting, VISITS_A_JOB))
        for identity in batch:
            del waiting[identity]
        return [one for one in batch if one in self.places and not self._is_barred(one, wary)]

    def give_back(self, batch: Iterable[Identity]) -> None:
        """Let namespaces wait again that were taken and not visited."""
        self._urgent = {**dict.fromkeys(batch), **self._urgent}

    def may_be_new(self, identity: Identity) -> bool:
        """Return whether a namespace may be another one than that known by the same identity."""
        return identity in self._maybe_new

    def is_foreign(self, identity: Identity) -> bool:
        """Return whether another user namespace owns a namespace."""
        return identity in self.places and self.places[identity].foreign

    def are_suspect(self, batch: Iterable[Identity]) -> bool:
        """Return whether the way into one of these has hung before."""
        return any(identity in self._aside for identity in batch)

    def rename(self, namespace: Namespace) -> None:
        """Take over what a visit has found out about an owner."""
        place = self.places.get(namespace.identity)
        if place is not None:
            self.places[namespace.identity] = place._replace(namespace=namespace)

    def note_visits(self, batch: Iterable[Identity]) -> None:
        """Note that namespaces were visited: they are not new any more, and did not hang."""
        for identity in batch:
            self._maybe_new.discard(identity)
            self._aside.pop(identity, None)

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

    def put_aside(self, identity: Identity, now_ns: int) -> None:
        """Visit a namespace later, since its way hangs."""
        times = self._aside[identity].times + 1 if identity in self._aside else 1
        wait_ns = min(ASIDE_MIN_NS << (times - 1), ASIDE_MAX_NS)
        self._aside[identity] = Aside(times, now_ns + wait_ns)

    def _is_barred(self, identity: Identity, wary: bool) -> bool:
        return wary and self.places[identity].served

    def _group(self, identity: Identity) -> str:
        return self.places[identity].namespace.owner.cgroup


def in_turn(namespaces: List[Identity], group_of: Callable[[Identity], str]) -> List[Identity]:
    """Return namespaces in an order in which each group of them has its turn."""
    groups: Dict[str, List[Identity]] = {}
    for identity in namespaces:
        groups.setdefault(group_of(identity), []).append(identity)
    rounds = itertools.zip_longest(*groups.values())
    return [identity for one_round in rounds for identity in one_round if identity is not None]
