"""Decisions: from policy, memory and what was just seen to actions and the next look."""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import sysctl_values
from ipvsd.enforce.contest import CONTESTABLE, Contest
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
    ContestPolicy,
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
RECHECK_SHARE = 8
RECHECK_MIN_NS = NS_PER_MS
RECHECK_MAX_NS = 50 * NS_PER_MS
# An init that takes longer hangs; the periodic look finds the file if it comes after all.
LOAD_WAIT_NS = 10 * NS_PER_S

# Thirty times the window in which the deadlock was seen; the first pass of a new service's
# estimation is cheap. Services that keep coming are no reason to wait for ever.
HOLD_NS = 3 * NS_PER_S
HOLD_MAX_NS = 30 * NS_PER_S


class Decision(NamedTuple):
    """What to do about the values that differ: all of them, and those left as they are for now."""

    writes: Tuple[Write, ...] = ()
    restrained: Dict[str, State] = {}
    retry_at_ns: Optional[int] = None  # when to decide anew about those
    contested: Tuple[str, ...] = ()  # keys that somebody keeps changing back

    @property
    def due(self) -> Tuple[Write, ...]:
        """The writes to be made now."""
        return tuple(write for write in self.writes if write.key not in self.restrained)

    def restrained_state(self, key: str) -> Optional[State]:
        """Return the state of a key whose value is not as wanted in the end, None for the usual."""
        return State.CONTESTED if key in self.contested else self.restrained.get(key)


def plan(
    settings: Sequence[Setting], namespace: Namespace, readings: Readings, reason: Reason
) -> Tuple[Write, ...]:
    """Return the writes that make the values as wanted, none for those that already are."""
    return tuple(
        Write(namespace, setting.key, readings[setting.key].value, setting.wanted, reason)
        for setting in settings
        if readings[setting.key].found is Found.VALUE
        and not sysctl_values.same(setting.key, readings[setting.key].value, setting.wanted)
    )


def restrain(
    writes: Tuple[Write, ...],
    known: Optional[NamespaceState],
    contest_policy: ContestPolicy,
    held_until_ns: Optional[int],
    now_ns: int,
) -> Decision:
    """Return which of the writes are better not made now.

    A value that somebody keeps changing back waits for its back-off, unless a load or a birth is
    why it differs. `held_until_ns` is what hold_until() says of this namespace. What has proved to
    be read-only is not tried again.
    """
    restrained = {}
    contested = []
    moments = []
    states = {key.setting.key: key.state for key in known.keys} if known is not None else {}
    for write in writes:
        contest = known.contests.get(write.key, Contest()) if known is not None else Contest()
        if contest.contested and write.reason in CONTESTABLE:
            contested.append(write.key)
        if states.get(write.key) is State.READ_ONLY:
            restrained[write.key] = State.READ_ONLY
        elif write.reason in CONTESTABLE and contest.waits(contest_policy, now_ns):
            restrained[write.key] = State.CONTESTED
            moments += (
                [contest.last_ns + contest.back_off_ns]
                if contest_policy is ContestPolicy.ENFORCE
                else []
            )
        elif held_until_ns is not None and write.key == sysctl_values.RUN_ESTIMATION:
            restrained[write.key] = State.HELD
            moments.append(held_until_ns)
    return Decision(writes, restrained, min(moments, default=None), tuple(contested))


def hold_until(
    known: Optional[NamespaceState], estimators: Optional[int], now_ns: int
) -> Optional[int]:
    """Return until when a namespace's run_estimation is left alone on kernels with kthreads.

    From Linux 6.2 until 2fd109238925 (2026), stopping the kthreads can deadlock with whoever
    changes the services, within some 100 ms after the first one or while many are added. So the
    write waits until their number has stood still for a while; without any there is no kthread
    to stop, and no reason to wait. None when there is none, or no longer.
    """
    if estimators == 0:
        return None
    since_ns = now_ns
    if known is not None and known.estimators == estimators:
        since_ns = known.estimators_since_ns
    until_ns = since_ns + HOLD_NS
    if known is not None and known.held_since_ns is not None:
        until_ns = min(until_ns, known.held_since_ns + HOLD_MAX_NS)
    return until_ns if until_ns > now_ns else None


def reason_for(trigger: Reason, module_before: Optional[Module], reloaded: bool) -> Reason:
    """Why a value is found different: a load, if ip_vs was last seen without its sysctls.

    So a load is told as what it is though its `add`, or that and the `remove` before it, was
    lost. `module_before` is None in the first pass.
    """
    appeared = module_before is not None and not module_before.loaded
    return Reason.LOAD if appeared or reloaded else trigger


def classify(
    setting: Setting,
    module: Module,
    reading: Reading,
    outcome: Optional[Outcome] = None,
    restrained_state: Optional[State] = None,
    foreign: bool = False,
) -> KeyStatus:
    """Return the state of one key at the end of a look.

    `outcome` where a write was tried, `otherwise` as Decision.otherwise() has it. `foreign` says
    that another user namespace owns the network namespace: nobody may change its sysctls then. Up
    to Linux 6.9 the kernel shows none, from 6.10 on read-only ones.
    """
    if outcome is not None:
        reading = outcome.after
        if outcome.denied and foreign:
            return KeyStatus(setting, State.READ_ONLY, reading.value)
        if outcome.error:
            state = State.DENIED if outcome.denied else State.REFUSED
            return KeyStatus(setting, state, reading.value, outcome.error)
    if reading.found is Found.VALUE:
        if sysctl_values.same(setting.key, reading.value, setting.wanted):
            return KeyStatus(setting, State.AS_WANTED, reading.value)
        if restrained_state is not None:
            return KeyStatus(setting, restrained_state, reading.value)
        if outcome is not None:
            detail = f"written {setting.wanted}, but it reads {reading.value}"
            return KeyStatus(setting, State.REFUSED, reading.value, detail)
        return KeyStatus(setting, State.READ_ONLY if foreign else State.DIFFERS, reading.value)
    if reading.found is Found.DENIED:
        if foreign:
            return KeyStatus(setting, State.READ_ONLY)
        return KeyStatus(setting, State.DENIED, detail=reading.error)
    if reading.found is Found.FAILED:
        return KeyStatus(setting, State.UNREADABLE, detail=reading.error)
    if foreign and module.loaded:
        return KeyStatus(setting, State.HIDDEN)
    if outcome is not None and module.loaded:
        return KeyStatus(setting, State.ABSENT)  # it was there before the write: it has gone since
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


def next_check(policy: Policy, waiting_since_ns: Optional[int], now_ns: int) -> int:
    """Return when to look again though nothing told to (monotonic nanoseconds)."""
    if waiting_since_ns is None or now_ns - waiting_since_ns >= LOAD_WAIT_NS:
        return now_ns + policy.resync_ns
    share = (now_ns - waiting_since_ns) // RECHECK_SHARE
    return now_ns + max(RECHECK_MIN_NS, min(RECHECK_MAX_NS, share))
