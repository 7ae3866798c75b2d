"""The memory of the guard: what a pass came to, what of it is news, and the counters."""

from typing import Dict, NamedTuple, Optional

from ipvsd.enforce.histogram import Histogram
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.journal.rate_limit import RateLimiter
from ipvsd.model import Identity, Module, Outcome


class LastWrite(NamedTuple):
    """The newest value that the guard has set."""

    outcome: Outcome
    reaction_ns: Optional[int]
    wall_ns: int


class Tally(NamedTuple):
    """What is counted over all namespaces, those that are gone included."""

    writes: Dict[str, int] = {}
    failures: int = 0
    exposed_ns: int = 0
    runs_leaked: int = 0
    reactions: Histogram = Histogram()


class Memory(NamedTuple):
    """All that one pass leaves for the next; never changed in place."""

    module: Optional[Module] = None  # None before the first pass
    instance: Optional[int] = None  # of ip_vs: another one after each load
    waiting_since_ns: Optional[int] = None  # while ip_vs is on its way
    waited_out: bool = False
    loads: int = 0
    loaded_ns: Optional[int] = None  # when ip_vs was last loaded, at the earliest
    checked_ns: Optional[int] = None  # when ip_vs was last looked at
    namespaces: Dict[Identity, NamespaceState] = {}
    revision: int = 0  # of what is told of them: neither moments of looks count nor contests
    tally: Tally = Tally()
    events_lost: int = 0
    last_write: Optional[LastWrite] = None
    rate_limiter: RateLimiter = RateLimiter()
