"""Has estimation run once in a while, so that the totals of services are fresh now and then.

For some 2 s the daemon works with a configuration that wants estimation on. Its runs are wanted, so
they do not count as leaked. A daemon that crashes meanwhile reads the real configuration at its
start, and one that is stopped sets the values back before.
"""

import time
import zlib
from typing import Any, Callable, Dict, List, Optional

from ipvsd.config.parser import Config
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.enforce.exposure import PERIOD_NS
from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.model import NS_PER_MS, NS_PER_S, Mode, Policy, Setting, State
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.text import iso_time, plural

# One period of the timer, which is late where its CPU is busy.
_ON_FOR_NS = PERIOD_NS + 500 * NS_PER_MS
# How long the values of all namespaces may take to be set; what takes longer is not waited for.
_SET_LIMIT_NS = 5 * NS_PER_S
_CHECK_AGAIN_NS = 50 * NS_PER_MS
_RETRY_NS = 60 * NS_PER_S
# Hosts with the same configuration do not sample at the same moment.
_JITTER_SHARE = 10
_JITTER_MAX_NS = 300 * NS_PER_S

_THREADS = (
    "sampling: not done, since ip_vs of this kernel estimates in threads, and switching them off "
    "and on can hang IPVS; let them run where they do no harm: strategy = steer"
)


class Sampling:
    """Switches the daemon's configuration for one estimation run, and back."""

    def __init__(self, state: DaemonState, has_kthreads: Callable[[], bool], node: str) -> None:
        """Begin with nothing; `node` is the name of the host, for its place in the jitter."""
        self._state = state
        self._has_kthreads = has_kthreads
        self._node = node
        self._for: Optional[Policy] = None  # the policy that the next sample is scheduled for
        self._next_wall_ns: Optional[int] = None
        self._real: Optional[Config] = None  # while estimation is on
        self._sampled: Optional[Config] = None  # in effect meanwhile
        self._began_ns = 0
        self._on_ns: Optional[int] = None  # since when every namespace is switched on
        self._ended_ns = -2 * _SET_LIMIT_NS  # when the last one ended: long ago
        self._refused = False
        self._count = 0
        self._last = ""

    def _status(self) -> Optional[Dict[str, Any]]:
        if self._next_wall_ns is None and not self._count:
            return None
        coming = self._next_wall_ns
        return {
            "count": self._count,
            "last": self._last or None,
            "next": None if coming is None else iso_time(coming),
        }

    def deadline_ns(self) -> Optional[int]:
        """Return when to call proceed() if nothing happens, None for never."""
        now_ns = monotonic_ns()
        if self._real is not None:
            return now_ns + _CHECK_AGAIN_NS if self._on_ns is None else self._on_ns + _ON_FOR_NS
        if self._next_wall_ns is None:
            return None
        return now_ns + max(0, self._next_wall_ns - _wall_ns())

    def proceed(self) -> bool:
        """Switch if that is due; return whether the values have to be checked for it."""
        switched = self._go_on(self._real) if self._real is not None else self._begin_if_due()
        self._state.sampling = self._status()
        return switched

    def _begin_if_due(self) -> bool:
        self._schedule()
        if self._next_wall_ns is None or _wall_ns() < self._next_wall_ns:
            return False
        if not self._may_begin():
            self._next_wall_ns = _wall_ns() + _RETRY_NS
            return False
        if self._has_kthreads():
            self._refuse()
            return False
        self._begin()
        return True

    def stop(self, check: Callable[[], None], proceed: Callable[[], None], loop: Loop) -> None:
        """Switch estimation off before the daemon ends, if it is or was just on for a sample.

        `check` checks the host's namespace and begins with the others, `proceed` goes on with them.
        """
        until_ns = monotonic_ns() + _SET_LIMIT_NS
        if self._real is not None and self._state.config is self._sampled:
            self._state.config, self._real = self._real, None
            check()
        elif until_ns > self._ended_ns + 2 * _SET_LIMIT_NS:
            return  # every namespace has been switched off since the last sample
        while self._switched("1") and monotonic_ns() < until_ns:
            proceed()
            loop.wait(monotonic_ns() + _CHECK_AGAIN_NS)
        left = self._switched("1")
        if left:
            where = plural(len(left), "namespace")
            self._log(
                f"sampling: estimation may not be off again before the guard stops in {where}; "
                "the next start switches it off"
            )
        else:
            self._log("sampling: estimation is off again before the guard stops")

    def _schedule(self) -> None:
        policy = self._state.policy
        if policy is self._for:
            return
        self._for, self._refused = policy, False
        self._next_wall_ns = None
        if policy.sampling_ns is not None and policy.mode is Mode.ENFORCE:
            self._next_wall_ns = next_sample_ns(policy, self._node, _wall_ns())

    def _may_begin(self) -> bool:
        """Return whether all is well, so that a sample changes nothing that is in dispute."""
        state = self._state
        own = [key for key in state.host_keys if key.setting.key == RUN_ESTIMATION]
        quiet = all(key.state is State.AS_WANTED and key.setting.wanted == "0" for key in own)
        # A comparison or a refresh switches estimation already.
        busy = state.reloading or state.config.compares
        return state.loaded and bool(own) and quiet and not busy

    def _refuse(self) -> None:
        if not self._refused:
            self._log(_THREADS)
        self._refused, self._next_wall_ns = True, None

    def _begin(self) -> None:
        state = self._state
        self._real, self._began_ns, self._on_ns = state.config, monotonic_ns(), None
        settings = tuple(
            one._replace(wanted="1") if _is_at(one, "0") else one for one in state.policy.settings
        )
        self._sampled = state.config._replace(policy=state.policy._replace(settings=settings))
        state.config = self._sampled

    def _go_on(self, real: Config) -> bool:
        state, now_ns = self._state, monotonic_ns()
        if state.config is not self._sampled:  # the configuration was reloaded meanwhile
            self._end("cut short by a reload of the configuration")
            return False
        if self._on_ns is None:
            if not self._switched("0") or now_ns - self._began_ns > _SET_LIMIT_NS:
                self._on_ns = now_ns
            return False
        if now_ns < self._on_ns + _ON_FOR_NS:
            return False
        sampled = plural(len(self._switched("1")), "namespace")
        state.config = real
        self._count, self._last = self._count + 1, iso_time(_wall_ns())
        self._end(f"estimation was on in {sampled} for one run, to make the totals fresh")
        return True

    def _end(self, text: str) -> None:
        self._real = self._sampled = None
        self._ended_ns = monotonic_ns()
        self._for = None  # schedules the next one
        self._log(f"sampling: {text}")

    def _switched(self, wanted: str) -> List[Any]:
        """Return the namespaces that were last checked for this value of the general setting."""
        known = self._state.memory.namespaces.values()
        return [one for one in known if any(_is_at(key.setting, wanted) for key in one.keys)]

    def _log(self, message: str) -> None:
        self._state.new_events.append(events.plain(Kind.SAMPLED, message))


def next_sample_ns(policy: Policy, node: str, wall_ns: int) -> int:
    """Return when to sample next (since the epoch): later than now, and later on some hosts.

    `at` is the time of one sample (UTC), from which others follow each period.
    """
    period_ns = policy.sampling_ns or 1
    spread_ns = min(period_ns // _JITTER_SHARE, _JITTER_MAX_NS)
    jitter_s = zlib.crc32(node.encode()) % (spread_ns // NS_PER_S + 1)
    phase_ns = policy.sampling_at_ns + jitter_s * NS_PER_S
    return wall_ns + period_ns - (wall_ns - phase_ns) % period_ns


def _is_at(setting: Setting, wanted: str) -> bool:
    """Return whether it is the setting of run_estimation for all namespaces, at this value."""
    return setting.key == RUN_ESTIMATION and setting.wanted == wanted and not setting.rule


def _wall_ns() -> int:
    return int(time.time() * NS_PER_S)
