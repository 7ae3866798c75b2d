"""Decides which state of a sysctl matters most, and the exit code that follows from it."""

from typing import Iterable, Optional

from ipvsd.model import Exit, KeyStatus, State

# The worst of several states decides. The states that the user can act on come first. A state that
# is not in the list is as it should be, or the kernel or the configuration makes it so.
_EXIT_CODES = (
    (State.DENIED, Exit.NOT_PERMITTED),
    (State.UNREADABLE, Exit.CANNOT_TELL),
    (State.REFUSED, Exit.NOT_AS_WANTED),
    (State.CONTESTED, Exit.NOT_AS_WANTED),
    (State.DIFFERS, Exit.NOT_AS_WANTED),
    (State.HELD, Exit.NOT_AS_WANTED),
    (State.LOADING, Exit.NOT_AS_WANTED),
    (State.UNSUPPORTED, Exit.UNSUPPORTED),
)
_HARMLESS = (
    State.READ_ONLY,
    State.HIDDEN,
    State.EXCLUDED,
    State.ABSENT,
    State.GONE,
    State.OFF_OTHERWISE,
    State.AS_WANTED,
)
SEVERITY = {
    state: rank for rank, state in enumerate([state for state, _ in _EXIT_CODES] + list(_HARMLESS))
}


def worst(keys: Iterable[KeyStatus]) -> Optional[KeyStatus]:
    """Return the key whose state matters most, None when there are no keys."""
    return min(keys, key=lambda key: SEVERITY[key.state], default=None)


def exit_code(keys: Iterable[KeyStatus]) -> Exit:
    """Return the exit code for the states of keys; a key without ip_vs is as wanted."""
    key = worst(keys)
    return Exit.AS_WANTED if key is None else dict(_EXIT_CODES).get(key.state, Exit.AS_WANTED)
