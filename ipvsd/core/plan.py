"""Decisions: from policy, memory and what was just seen to actions and the next look."""

from typing import Dict, Optional, Tuple

from ipvsd.core import values
from ipvsd.core.model import (
    NS_PER_MS,
    NS_PER_S,
    Exit,
    Found,
    KeyStatus,
    Module,
    Namespace,
    Outcome,
    Policy,
    Reading,
    Reason,
    Setting,
    State,
    Write,
)

Readings = Dict[str, Reading]

# Before Linux 5.11 (and 5.10.5, 5.4.87, 4.19.165: 38dc717e9715) `add` is sent before the
# module's init, the sysctls appear later and nothing tells. The wait between two looks is an
# eighth of the time waited so far: some 50 looks for an init of half a second, and the value
# is wrong for at most an eighth longer than init took.
LOOK_SHARE = 8
LOOK_MIN_NS = NS_PER_MS
LOOK_MAX_NS = 50 * NS_PER_MS
# An init that takes longer hangs; the periodic look finds the file if it comes after all.
LOAD_WAIT_NS = 10 * NS_PER_S


def plan(
    policy: Policy, namespace: Namespace, readings: Readings, reason: Reason
) -> Tuple[Write, ...]:
    """Return the writes that make the values as wanted, none for those that already are."""
    return tuple(
        Write(namespace, setting.key, readings[setting.key].value, setting.wanted, reason)
        for setting in policy.settings
        if readings[setting.key].found is Found.VALUE
        and not values.same(setting.key, readings[setting.key].value, setting.wanted)
    )


def reason_for(trigger: Reason, module_before: Optional[Module]) -> Reason:
    """Why a value is found different: a load, if ip_vs was last seen without its sysctls.

    So an `add` that was lost is still told as what it was. `module_before` is None in the
    first pass.
    """
    if module_before is None or module_before.loaded:
        return trigger
    return Reason.LOAD


def classify(
    setting: Setting, module: Module, reading: Reading, outcome: Optional[Outcome]
) -> KeyStatus:
    """Return the state of one key at the end of a pass; `outcome` where a write was tried."""
    if outcome is not None:
        reading = outcome.after
        if outcome.error:
            state = State.DENIED if outcome.denied else State.REFUSED
            return KeyStatus(setting, state, reading.value, outcome.error)
    if reading.found is Found.VALUE:
        if values.same(setting.key, reading.value, setting.wanted):
            return KeyStatus(setting, State.AS_WANTED, reading.value)
        if outcome is not None:
            detail = f"written {setting.wanted}, but it reads {reading.value}"
            return KeyStatus(setting, State.REFUSED, reading.value, detail)
        return KeyStatus(setting, State.DIFFERS, reading.value)
    if reading.found is Found.DENIED:
        return KeyStatus(setting, State.DENIED, detail=reading.error)
    if reading.found is Found.FAILED:
        return KeyStatus(setting, State.UNREADABLE, detail=reading.error)
    return KeyStatus(setting, *_missing(module, reading))


def _missing(module: Module, reading: Reading) -> Tuple[State, str, str]:
    """State, value and detail of a key whose file is not there."""
    if module is Module.COMING:
        return State.LOADING, "", ""
    if not module.loaded:
        return State.ABSENT, "", ""
    if reading.found is Found.NO_KEY:
        return State.UNSUPPORTED, "", ""
    return State.UNSUPPORTED, "", "ip_vs is loaded, but net.ipv4.vs is not there at all"


def next_look(policy: Policy, waiting_since_ns: Optional[int], now_ns: int) -> int:
    """Return when to look again though nothing told to (monotonic nanoseconds)."""
    if waiting_since_ns is None or now_ns - waiting_since_ns >= LOAD_WAIT_NS:
        return now_ns + policy.resync_ns
    share = (now_ns - waiting_since_ns) // LOOK_SHARE
    return now_ns + max(LOOK_MIN_NS, min(LOOK_MAX_NS, share))


# The worst of several states decides; what the user can act on comes first.
_EXIT_CODES = (
    (State.DENIED, Exit.NOT_PERMITTED),
    (State.UNREADABLE, Exit.CANNOT_TELL),
    (State.REFUSED, Exit.NOT_AS_WANTED),
    (State.DIFFERS, Exit.NOT_AS_WANTED),
    (State.LOADING, Exit.NOT_AS_WANTED),
    (State.UNSUPPORTED, Exit.UNSUPPORTED),
)


def exit_code(keys: Tuple[KeyStatus, ...]) -> Exit:
    """Return the exit code that says how the keys stand; ip_vs not loaded is as wanted."""
    states = {key.state for key in keys}
    return next((code for state, code in _EXIT_CODES if state in states), Exit.AS_WANTED)
