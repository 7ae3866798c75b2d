"""Decides what to write and when to check again, from policy, memory and what was read."""

from typing import AbstractSet, Dict, Iterable, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import steering, sysctl_values
from ipvsd.enforce.contest import AGAIN_NS, CONTESTABLE, CONTESTED_AFTER, Contest
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.kernel import dialects
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
# module's init. The sysctls appear later, without an event. The wait between two checks is an
# eighth of the time waited so far: some 50 checks for an init of half a second, and the value
# is wrong for at most an eighth longer than init took.
RECHECK_SHARE = 8
RECHECK_MIN_NS = NS_PER_MS
RECHECK_MAX_NS = 50 * NS_PER_MS
# An init that takes longer hangs. If the file appears after all, the periodic check finds it.
LOAD_WAIT_NS = 10 * NS_PER_S

# Thirty times the window in which the deadlock was seen. The first estimation run of a new service
# is cheap.
HOLD_NS = 3 * NS_PER_S
# A hold that lasts longer is looked into: on a kernel that is known to have the fix it ends, and on
# any other one it is reported.
HOLD_LONG_NS = 30 * NS_PER_S
# Each of these goes through ip_vs_est_reload_start() (net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.2),
# which stops all kthreads of the namespace and starts them again.
_RESTARTING = (dialects.RUN_ESTIMATION, dialects.EST_CPULIST, dialects.EST_NICE)


class Decision(NamedTuple):
    """What to do about the values that differ: all writes, and those that wait."""

    writes: Tuple[Write, ...] = ()
    restrained: Dict[str, State] = {}  # why each write that waits does so, by key
    retry_at_ns: Optional[int] = None  # when to decide again about those
    contested: Tuple[str, ...] = ()  # keys that somebody else keeps changing

    @property
    def due(self) -> Tuple[Write, ...]:
        """The writes to be made now."""
        return tuple(write for write in self.writes if write.key not in self.restrained)

    def restrained_state(self, key: str) -> Optional[State]:
        """Return the state of a key whose write waits or is contested, None for any other key."""
        return State.CONTESTED if key in self.contested else self.restrained.get(key)


def plan(
    settings: Sequence[Setting], namespace: Namespace, readings: Readings, reason: Reason
) -> Tuple[Write, ...]:
    """Return the writes for the values that differ from the wanted ones, in their order.

    While run_estimation is 0 no kthread runs, and est_cpulist and est_nice restart none. So
    estimation is switched off before they are written, and on after them.
    """
    writes = [
        Write(
            namespace,
            setting.key,
            readings[setting.key].value,
            setting.wanted,
            reason,
            readings[setting.key].switch,
        )
        for setting in settings
        if readings[setting.key].found is Found.VALUE
        and not sysctl_values.same(setting.key, readings[setting.key].value, setting.wanted)
    ]
    if len(writes) > 1:
        run_estimation = sysctl_values.RUN_ESTIMATION
        writes.sort(key=lambda write: write.key == run_estimation and write.wanted != "0")
    return tuple(writes)


def restrain(
    writes: Tuple[Write, ...],
    known: Optional[NamespaceState],
    contest_policy: ContestPolicy,
    held_until_ns: Optional[int],
    now_ns: int,
    with_kthreads: bool = False,
) -> Decision:
    """Return which of the writes are made now, and which wait.

    A contested value is set again AGAIN_NS after it was last set, unless it differs because of a
    load or a birth, and is checked as often, whether or not anything reports the next change.
    `with_kthreads` says that kernel threads estimate: each change starts and stops them, and
    stopping them is what can deadlock (see hold_until()). So there a contested value waits for
    HOLD_NS each time; it leaks more runs, and a host that hangs serves nobody. `held_until_ns` is
    the result of hold_until() for this namespace. A value that has proved read-only is not tried
    again.
    """
    if held_until_ns is None and (known is None or not (known.contests or known.keys)):
        return Decision(writes)  # the common case, kept cheap
    pause_ns = HOLD_NS if with_kthreads else AGAIN_NS
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
        elif write.reason in CONTESTABLE and contest.waits(contest_policy, now_ns, pause_ns):
            restrained[write.key] = State.CONTESTED
            if contest_policy is ContestPolicy.ENFORCE:
                moments.append(contest.last_ns + pause_ns)
        elif held_until_ns is not None and write.key in _RESTARTING:
            restrained[write.key] = State.HELD
            moments.append(held_until_ns)
    due = {one.key for one in writes if one.reason in CONTESTABLE} - set(restrained)
    if contest_policy is ContestPolicy.ENFORCE and _any_contested(known, due):
        moments.append(now_ns + pause_ns)
    return Decision(writes, restrained, min(moments, default=None), tuple(contested))


def _any_contested(known: Optional[NamespaceState], due: AbstractSet[str]) -> bool:
    """Return whether a value is contested when the writes that are due have been made."""
    contests = known.contests if known is not None else {}
    return any(one.times + (key in due) >= CONTESTED_AFTER for key, one in contests.items())


def hold_until(
    known: Optional[NamespaceState], estimators: Optional[int], now_ns: int
) -> Optional[int]:
    """Return until when nothing is written that restarts a namespace's kthreads.

    From Linux 6.2 until 2fd109238925 (2026), stopping the kthreads can deadlock with a process
    that changes the services, within some 100 ms after the first service or while many are added.
    So the write waits until the number of services has not changed for HOLD_NS, however long
    services are added. Once there was a service a kthread runs on, even without any (`ipvsadm -C`):
    0 is a number as any other. None if there is no reason to wait, or no longer.
    """
    since_ns = now_ns
    if known is not None and known.estimators == estimators:
        since_ns = known.estimators_since_ns
    until_ns = since_ns + HOLD_NS
    return until_ns if until_ns > now_ns else None


def restarts_kthreads(writes: Iterable[Write], readings: Readings) -> bool:
    """Return whether a write may stop kthreads, in a namespace that has some."""
    estimation = readings.get(sysctl_values.RUN_ESTIMATION)
    stopped = estimation is not None and estimation.value == "0"
    return not stopped and any(write.key in _RESTARTING for write in writes)


def is_without_kthread(
    reason: Reason, known: Optional[NamespaceState], event_ns: Optional[int]
) -> bool:
    """Return whether a namespace without services has surely no kthread: ip_vs is new there."""
    is_new = reason is Reason.LOAD or (reason is Reason.BIRTH and event_ns is not None)
    return is_new and (known is None or known.held_since_ns is None)


def is_held_long(known: Optional[NamespaceState], now_ns: int) -> bool:
    """Return whether a value has been held for so long that it matters if the kernel is fixed."""
    if known is None or known.held_since_ns is None:
        return False
    return now_ns - known.held_since_ns >= HOLD_LONG_NS


def why_different(
    trigger: Reason, known: Optional[NamespaceState], reloaded: bool, is_host: bool = False
) -> Reason:
    """Return why a value is found different from the configuration in a namespace.

    `trigger` is why the check is made, `known` the namespace's state before it (None if the
    namespace was never checked). `reloaded` says that ip_vs may have been loaded since the last
    check. A value that the last check left different is so for the reason that it had then.
    """
    if trigger in (Reason.START, Reason.APPLY, Reason.LOAD):
        return trigger
    if known is None:
        return trigger if trigger is Reason.RELOAD or is_host else Reason.BIRTH
    if reloaded:
        return Reason.LOAD
    if known.differs and (trigger is Reason.DRIFT or not is_host):
        return known.reason
    return Reason.DRIFT if trigger is Reason.BIRTH else trigger


def classify(
    setting: Setting,
    module: Module,
    reading: Reading,
    outcome: Optional[Outcome] = None,
    restrained_state: Optional[State] = None,
    foreign: bool = False,
) -> KeyStatus:
    """Return the state of one key at the end of a check.

    `outcome` is there if a write was tried; `restrained_state` is Decision.restrained_state().
    `foreign` says that another user namespace owns the network namespace. Nobody may change its
    sysctls then: up to Linux 6.9 the kernel shows none, from 6.10 on read-only ones.
    """
    switch = reading.switch
    status = _classify(setting, module, reading, outcome, restrained_state, foreign)
    if setting.steers and status.state is State.UNSUPPORTED:
        text = "strategy = steer cannot steer this ip_vs, and leaves its run_estimation alone"
        return status._replace(detail=text)
    if not switch:
        return status
    if status.state is State.AS_WANTED and setting.wanted == dialects.OFF:
        status = status._replace(state=State.OFF_OTHERWISE)
    return status._replace(detail=status.detail or f"by {switch}")


def _classify(
    setting: Setting,
    module: Module,
    reading: Reading,
    outcome: Optional[Outcome],
    restrained_state: Optional[State],
    foreign: bool,
) -> KeyStatus:
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
            detail = steering.refusal(setting, reading.value)
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
        return KeyStatus(setting, State.ABSENT)  # it was there before the write, and is gone now
    return KeyStatus(setting, *_missing(module, reading))


def _missing(module: Module, reading: Reading) -> Tuple[State, str, str]:
    """Return state, value and detail of a key whose file does not exist."""
    if module is Module.COMING:
        return State.LOADING, "", ""
    if not module.loaded:
        return State.ABSENT, "", ""
    if reading.found is Found.NO_KEY:
        return State.UNSUPPORTED, "", ""
    return State.UNSUPPORTED, "", "ip_vs is loaded, but net.ipv4.vs is not there at all"


def next_check(policy: Policy, waiting_since_ns: Optional[int], now_ns: int) -> int:
    """Return when to check again if no event arrives (monotonic nanoseconds)."""
    if waiting_since_ns is None or now_ns - waiting_since_ns >= LOAD_WAIT_NS:
        return now_ns + policy.resync_ns
    share = (now_ns - waiting_since_ns) // RECHECK_SHARE
    return now_ns + max(RECHECK_MIN_NS, min(RECHECK_MAX_NS, share))
