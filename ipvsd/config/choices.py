"""Decides which lines of the configuration want estimation on (pure)."""

from typing import List, NamedTuple, Optional

from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.model import Policy


class Choice(NamedTuple):
    """A line of the configuration that wants estimation on."""

    path: str
    number: int  # of the line
    selector: str  # empty: in all namespaces
    until_ns: Optional[int] = None  # when the line ends to count, since the epoch

    @property
    def where(self) -> str:
        """Text for the namespaces."""
        return f"in the namespaces {self.selector}" if self.selector else "in all namespaces"


def choices(policy: Policy) -> List[Choice]:
    """Return the lines that want estimation on, where it is not steered: nobody forgets that."""
    own = about(policy, RUN_ESTIMATION)
    usual = [one for one in own.settings if one.wanted == "1" and policy.steer is None]
    found = [_choice(one.origin, "", one.until_ns) for one in usual]
    return found + [
        _choice(one.origin, str(one.selector), one.until_ns)
        for one in own.overrides
        if (one.key, one.wanted) == (RUN_ESTIMATION, "1")
    ]


def _choice(origin: str, selector: str, until_ns: Optional[int]) -> Choice:
    path, _, number = origin.rpartition(":")
    return Choice(path, int(number), selector, until_ns)
