"""The state of one namespace: what one check leaves for the next, and for people."""

from typing import Dict, NamedTuple, Optional, Tuple

from ipvsd.enforce.contest import Contest
from ipvsd.enforce.exposure import Exposure
from ipvsd.model import RIGHT, KeyStatus, Namespace, Reason, State

Condition = Tuple[State, str]

_SETTLED = (*RIGHT, State.ABSENT, State.LOADING)


class NamespaceState(NamedTuple):
    """What is remembered of one namespace; never changed in place."""

    namespace: Namespace
    first_ns: int  # when it was first checked (monotonic)
    first_wall_ns: int
    checked_ns: int  # when it was last checked (monotonic)
    reason: Reason = Reason.DRIFT  # why values differed when they last did
    rule: str = ""
    keys: Tuple[KeyStatus, ...] = ()
    conditions: Dict[str, Condition] = {}  # as last logged, by key
    contests: Dict[str, Contest] = {}  # by key
    set_after_ns: Optional[int] = None  # from birth or load to the write, where both are known
    exposure: Exposure = Exposure()
    estimators: Optional[int] = None
    estimators_since_ns: int = 0  # when this number of them was first read
    held_since_ns: Optional[int] = None
    cookie: Optional[int] = None
    off_since_ns: Optional[int] = None  # since the epoch, when the guard last set estimation off

    @property
    def differs(self) -> bool:
        """Whether the last check left a value that was not as wanted."""
        return any(key.state not in _SETTLED for key in self.keys)

    @property
    def shown(self) -> "NamespaceState":
        """The state as people see it: a contested value is so although it is right for moments."""
        contested = {key for key, contest in self.contests.items() if contest.contested}
        keys = (
            key._replace(state=State.CONTESTED)
            if key.state in RIGHT and key.setting.key in contested
            else key
            for key in self.keys
        )
        return self._replace(keys=tuple(keys))


def is_another(known: NamespaceState, cookie: Optional[int]) -> bool:
    """Return whether the kernel's cookie proves that a known identity was used again.

    The inode number of a namespace that is gone is soon given to another one.
    """
    return cookie is not None and known.cookie is not None and cookie != known.cookie
