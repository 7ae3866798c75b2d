"""The memory of the guard: what one check leaves for the next; never changed in place."""

from typing import Dict, FrozenSet, NamedTuple, Optional

from ipvsd.enforce import exposure
from ipvsd.enforce.exposure import Exposure
from ipvsd.enforce.histogram import Histogram
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.journal.rate_limit import RateLimiter
from ipvsd.model import Identity, Module, Outcome, Reason


class LastWrite(NamedTuple):
    """The newest value that the guard has set."""

    outcome: Outcome
    reaction_ns: Optional[int]
    wall_ns: int


class Tally(NamedTuple):
    """What is counted over all namespaces, including those that are gone."""

    writes: Dict[str, int] = {}  # by reason
    failures: int = 0
    exposed_ns: int = 0
    runs_leaked: int = 0
    reactions: Histogram = Histogram()
    since: str = ""  # when counting began, in ISO 8601
    not_counted_ns: int = 0  # while no guard ran since then, at most

    def plus_exposure(self, before: Exposure, after: Exposure) -> "Tally":
        """Return the tally with the exposure of a namespace that has grown."""
        return self._replace(
            exposed_ns=self.exposed_ns + after.closed_ns - before.closed_ns,
            runs_leaked=self.runs_leaked + after.closed_runs - before.closed_runs,
        )

    def plus_gone(self, gone: NamespaceState, seen_ns: Optional[int]) -> "Tally":
        """Return the tally with the exposure of a namespace that is gone.

        `seen_ns` is when the last scan that has found it began, None if that is unknown.
        """
        until_ns = max(gone.checked_ns, seen_ns or 0)
        return self.plus_exposure(gone.exposure, exposure.right(gone.exposure, until_ns))

    def plus_write(self, reason: Reason, reaction_ns: Optional[int]) -> "Tally":
        """Return the tally with one value more that was set."""
        writes = dict(self.writes)
        writes[reason.value] = writes.get(reason.value, 0) + 1
        reactions = self.reactions if reaction_ns is None else self.reactions.plus(reaction_ns)
        return self._replace(writes=writes, reactions=reactions)


class Memory(NamedTuple):
    """All that one check leaves for the next."""

    module: Optional[Module] = None  # None before the first check
    instance: Optional[int] = None  # of ip_vs: another number after each load
    waiting_since_ns: Optional[int] = None  # while the init of ip_vs runs
    missing_ns: Optional[int] = None  # when its sysctls were last missing meanwhile
    waited_out: bool = False  # the init of ip_vs takes too long, and that was logged
    loads: int = 0
    loaded_ns: Optional[int] = None  # when ip_vs was last loaded, at the earliest
    checked_ns: Optional[int] = None  # when the state of ip_vs was last read
    namespaces: Dict[Identity, NamespaceState] = {}
    revision: int = 0  # grows when what is published about the namespaces changes
    tally: Tally = Tally()
    events_lost: int = 0
    last_write: Optional[LastWrite] = None
    rate_limiter: RateLimiter = RateLimiter()
    unsupported: FrozenSet[str] = frozenset()  # keys that this ip_vs lacks

    def reloaded_since(self, known: Optional[NamespaceState]) -> bool:
        """Return whether ip_vs was loaded after a namespace was last checked."""
        return known is not None and known.checked_ns < (self.loaded_ns or 0)
