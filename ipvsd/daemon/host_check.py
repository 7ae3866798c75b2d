"""Checks the host's namespace: the hot path from an event to the write."""

from typing import Optional

from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.enforce import decide, record, record_module
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import Module, Reason
from ipvsd.system.event_loop import monotonic_ns

# systemd's advice is half of the limit (sd_watchdog_enabled(3)).
_WATCHDOG_SHARE = 2
# These ask for a check of every namespace, not only of the host's.
_FOR_ALL = (Reason.START, Reason.RELOAD, Reason.RESYNC, Reason.SAMPLE)


class HostCheck:
    """Checks the host's namespace, records the result, and says when the next check is due."""

    def __init__(
        self, state: DaemonState, enforcer: Enforcer, watchdog_ns: Optional[int] = None
    ) -> None:
        self.due_ns = 0
        self._state = state
        self._enforcer = enforcer
        self._watchdog_ns = watchdog_ns

    def check(self, trigger: Reason, event_ns: Optional[int], writer: str) -> Optional[Reason]:
        """Check and record; return why every other namespace has to be checked, None if not.

        `event_ns` is when the event came that causes the check, `writer` who has last written a
        sysctl, if that is known.
        """
        state, before = self._state, self._state.memory
        known = before.namespaces.get(state.host.identity)
        instance = self._enforcer.kernel.module_instance()
        reloaded = record_module.may_be_reloaded(before, instance)
        reason = decide.why_different(trigger, known, reloaded, is_host=True)
        done = self._enforcer.check_host(state.policy, reason, known, event_ns)
        done = done._replace(writer=writer, instance=instance)
        state.memory, new_events = record.record_host(before, state.policy, done)
        state.new_events += new_events
        now_ns = monotonic_ns()
        moments = [decide.next_check(state.policy, state.memory.waiting_since_ns, now_ns)]
        moments += [one.retry_at_ns for one in done.results if one.retry_at_ns is not None]
        if self._watchdog_ns is not None:
            moments.append(now_ns + self._watchdog_ns // _WATCHDOG_SHARE)
        self.due_ns = min(moments)
        if state.loads_into_others and before.module is Module.COMING:
            return None
        if not state.guards_others:
            host = state.host.identity
            state.memory = record_module.without_module(state.memory, host, now_ns)
            return None
        if state.memory.loads != before.loads:
            return Reason.LOAD
        return trigger if trigger in _FOR_ALL else None
