"""The visits: which namespaces wait for one, in which order, and the visits of one job."""

import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from ipvsd.enforce.enforcer import Enforcer, Target
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import Identity, Namespace, NamespaceResult, Policy, State
from ipvsd.status.metrics import Traffic

# Small, so that an urgent visit soon has its turn; large, so that handing over costs little.
VISITS_A_JOB = 64

# Any user can make such a namespace, with a name and services of their choice.
_FOREIGN = (State.HIDDEN, State.READ_ONLY)

Places = Dict[Identity, Tuple[Namespace, Tuple[str, ...]]]  # with the paths that lead into each


class Discovered(NamedTuple):
    """The result of a scan."""

    places: Places
    maybe_new: Set[Identity]  # may be other namespaces than those known by the same identity
    took_ns: int  # without describing new namespaces: the next scan need not do that again
    described_cpu_ns: int = 0


class VisitQueue:
    """Namespaces that wait for a visit: urgent ones first, then the rest of a full scan."""

    def __init__(self) -> None:
        self.places: Places = {}
        self._urgent: List[Identity] = []  # new, or due for a retry
        self._rest: List[Identity] = []
        self._maybe_new: Set[Identity] = set()  # until they are visited
        self._retry_at: Dict[Identity, int] = {}
        self._hung: Set[Identity] = set()  # never visited again while they exist
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
    def waiting(self) -> bool:
        """Whether any visit waits."""
        return bool(self._urgent or self._rest)

    @property
    def retry_at_ns(self) -> Optional[int]:
        """When the next retry is due, None if there is none."""
        return min(self._retry_at.values(), default=None)

    @property
    def put_aside_count(self) -> int:
        """How many namespaces are never visited again, since their way hung."""
        return len(self._hung)

    def clear(self) -> None:
        """Let nothing wait any more: ip_vs is not loaded."""
        self.traffic = {}
        self._urgent, self._rest, self._retry_at = [], [], {}

    def restart(self, with_known: bool) -> None:
        """Begin a full scan: all known namespaces wait, or none until they are found again."""
        self._rest = self._busiest_first(self.places) if with_known else []

    def add_found(self, found: Discovered, full: bool, visited: Optional[Set[Identity]]) -> None:
        """Take over what a scan has found.

        What may be new is urgent. After a `full` scan everything else waits too. While a load is
        worked off, `visited` holds the namespaces that need no second visit.
        """
        self.places, new = found.places, found.maybe_new
        self._hung &= set(self.places)
        self.traffic = {one: seen for one, seen in self.traffic.items() if one in self.places}
        self._maybe_new = (self._maybe_new & set(self.places)) | new
        self._retry_at = {one: ns for one, ns in self._retry_at.items() if one in self.places}
        self._estimators = {one: n for one, n in self._estimators.items() if one in self.places}
        if full and visited is not None:
            self._rest = self._busiest_first(set(self.places) - (visited - new))
            return
        self._urgent += new
        if full:
            self._rest = self._busiest_first(set(self.places) - new)

    def add_due_retries(self, now_ns: int) -> None:
        """Make the retries urgent that are due."""
        due = [identity for identity, at_ns in self._retry_at.items() if at_ns <= now_ns]
        for identity in due:
            del self._retry_at[identity]
        self._urgent += due

    def take(self, urgent: bool) -> List[Identity]:
        """Return the next batch, and let it wait no longer."""
        if urgent:
            batch, self._urgent = self._urgent[:VISITS_A_JOB], self._urgent[VISITS_A_JOB:]
        else:
            batch, self._rest = self._rest[:VISITS_A_JOB], self._rest[VISITS_A_JOB:]
        can_be_visited = set(self.places) - self._hung
        return [identity for identity in dict.fromkeys(batch) if identity in can_be_visited]

    def may_be_new(self, identity: Identity) -> bool:
        """Return whether a namespace may be another one than that known by the same identity."""
        return identity in self._maybe_new

    def note_visit(self, result: NamespaceResult) -> None:
        """Take over the result of a visit."""
        identity = result.namespace.identity
        self._maybe_new.discard(identity)
        if result.retry_at_ns is not None:
            self._retry_at[identity] = result.retry_at_ns
        if result.estimators is not None:
            self._estimators[identity] = result.estimators
        self.traffic.pop(identity, None)
        if result.counters is not None and not any(key.state in _FOREIGN for key in result.keys):
            estimators, counters = result.estimators or 0, Counters(*result.counters)
            self.traffic[identity] = Traffic(result.namespace, estimators, counters)

    def put_aside(self, hung: Target, not_visited: Sequence[Target]) -> None:
        """Never visit again what hung; the targets behind it are next."""
        self._hung.add(hung.namespace.identity)
        self._urgent = [one.namespace.identity for one in not_visited] + self._urgent

    def _busiest_first(self, namespaces: Iterable[Identity]) -> List[Identity]:
        return sorted(namespaces, key=lambda one: -self._estimators.get(one, 0))


class Visits:
    """The visits of one job, and how far the worker has come with them."""

    def __init__(self, targets: Tuple[Target, ...], routine: bool) -> None:
        self.targets = targets
        self.routine = routine  # of a full scan, and not because of an event
        self.at = 0
        self.cpu_ns = 0

    def make(self, enforcer: Enforcer, policy: Policy) -> List[NamespaceResult]:
        """Visit one namespace after the other: this is the job."""
        results = []
        began_s = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
        for target in self.targets:
            results.append(enforcer.visit(policy, target))
            self.at += 1
        self.cpu_ns = int((time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - began_s) * 1e9)
        return results

    @property
    def over(self) -> bool:
        """Whether every visit has ended."""
        return self.at == len(self.targets)
