"""Decides which lines of the configuration want estimation on (pure)."""

from typing import List, NamedTuple, Optional

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.model import Policy


class Choice(NamedTuple):
    """A line of the configuration that wants estimation on."""

    path: str
    number: int  # of the line
    selector: str  # empty: in all namespaces

    @property
    def where(self) -> str:
        """Text for the namespaces."""
        return f"in the namespaces {self.selector}" if self.selector else "in all namespaces"


def choices(policy: Policy) -> List[Choice]:
    """Return the lines that want estimation on."""
    found = [("", one.origin) for one in policy.settings if _is_on(one.key, one.wanted)]
    found += [
        (str(one.selector), one.origin) for one in policy.overrides if _is_on(one.key, one.wanted)
    ]
    places = [(selector, *origin.rpartition(":")[::2]) for selector, origin in found]
    return [Choice(path, int(number), selector) for selector, path, number in places]


def _is_on(key: str, wanted: Optional[str]) -> bool:
    return (key, wanted) == (RUN_ESTIMATION, "1")
