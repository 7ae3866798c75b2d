"""The memory of one namespace: what later looks and the user need to know of earlier ones."""

from typing import Dict, NamedTuple, Optional, Tuple

from ipvsd.enforce.contest import Contest
from ipvsd.enforce.exposure import Exposure
from ipvsd.model import KeyStatus, Namespace, Reason, State

Condition = Tuple[State, str]

_SETTLED = (State.AS_WANTED, State.ABSENT, State.LOADING)


class NamespaceState(NamedTuple):
    """All that one look into a namespace leaves for the next; never changed in place."""

    namespace: Namespace
    first_ns: int  # when it was first seen (monotonic)
    first_wall_ns: int
    checked_ns: int  # when it was last seen (monotonic)
    reason: Reason = Reason.DRIFT  # why values differed when they last did
    rule: str = ""
    keys: Tuple[KeyStatus, ...] = ()
    conditions: Dict[str, Condition] = {}
    contests: Dict[str, Contest] = {}
    set_after_ns: Optional[int] = None  # from birth or load to the write, where both are known
    exposure: Exposure = Exposure()
    estimators: Optional[int] = None
    estimators_since_ns: int = 0  # when this number of them was first seen
    held_since_ns: Optional[int] = None
    cookie: Optional[int] = None


def reason_for(
    known: Optional[NamespaceState], trigger: Reason, loaded_ns: Optional[int]
) -> Reason:
    """Why a value is found different in a namespace, `loaded_ns` being when ip_vs was last loaded.

    What was different at the last look already is so for the reason that it was then.
    """
    if trigger in (Reason.START, Reason.APPLY, Reason.LOAD):
        return trigger
    if known is None:
        return trigger if trigger is Reason.RELOAD else Reason.BIRTH
    if _unsettled(known):
        return known.reason
    if loaded_ns is not None and known.checked_ns < loaded_ns:
        return Reason.LOAD
    return Reason.DRIFT if trigger is Reason.BIRTH else trigger


def host_reason(known: Optional[NamespaceState], reason: Reason) -> Reason:
    """Why a value is found different in the host's namespace, `reason` being why it is looked at.

    A routine look finds what was left as it was, for the reason that it was then.
    """
    return known.reason if reason is Reason.DRIFT and known and _unsettled(known) else reason


def _unsettled(known: NamespaceState) -> bool:
    return any(key.state not in _SETTLED for key in known.keys)


def is_another(known: NamespaceState, cookie: Optional[int]) -> bool:
    """Whether a namespace with the identity of a known one has proved to be a newer one."""
    return cookie is not None and known.cookie is not None and cookie != known.cookie
