"""Decides when a demand to check every namespace has been met."""

from enum import Enum
from typing import Optional, Set

from ipvsd.model import Reason


class Part(Enum):
    """What has to be done for a demand to check every namespace."""

    SCAN = "scan"
    SEARCH = "search"


class Rescan:
    """A demand to check every namespace; DRIFT stands for the routine, without a demand."""

    def __init__(self, reason: Reason = Reason.DRIFT, event_ns: Optional[int] = None) -> None:
        self.reason = reason
        self.event_ns = event_ns
        self.pending: Set[Part] = set() if reason is Reason.DRIFT else set(Part)

    @property
    def hurries(self) -> bool:
        """Whether somebody waits for the end of its search: a start or a reload."""
        return Part.SEARCH in self.pending and self.reason in (Reason.START, Reason.RELOAD)

    @property
    def ends(self) -> bool:
        """Whether only visits and records are left of it."""
        return self.reason is not Reason.DRIFT and not self.pending
