"""Publishes the daemon's state: status files, journal, metrics, status for systemd."""

import os
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ipvsd import __version__
from ipvsd.config.choices import choices
from ipvsd.daemon.canary import Canary
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.publisher import Pace, Publisher
from ipvsd.daemon.scanner import NamespaceScanner
from ipvsd.enforce.memory import Memory
from ipvsd.model import NS_PER_S, Policy
from ipvsd.status import documents, host_share, saved_counters
from ipvsd.status.runtime_dir import COUNTERS, EVENTS, STATUS
from ipvsd.system import files
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.system.sd_notify import Notifier
from ipvsd.text import iso_time

# READY=1 waits no longer for a file system that hangs.
_READY_WITHIN_NS = 5 * NS_PER_S


class Reporter:
    """Decides when to publish, and does it; it never takes time from namespaces that wait."""

    def __init__(
        self,
        state: DaemonState,
        publisher: Publisher,
        notifier: Notifier,
        scanner: NamespaceScanner,
        canary: Canary,
        loop: Loop,
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._notifier = notifier
        self._scanner = scanner
        self._canary = canary
        self._loop = loop
        self._pace = Pace()
        self._ready_ns: Optional[int] = None  # when to send READY=1, whatever has been written
        self._started = iso_time(int(time.time() * 1e9))
        self._published: Optional[Memory] = None
        self._checked = False  # since the last publishing
        self._chosen: Tuple[Optional[Policy], List[Dict[str, Any]]] = (None, [])

    def deadlines_ns(self) -> List[int]:
        """Return when to call publish() if nothing happens."""
        memory = self._state.memory if self._scanner.idle else None
        moments = self._publisher.deadlines_ns(memory)
        return moments if self._ready_ns is None else [*moments, self._ready_ns]

    def publish(self, checked: bool, sources: Callable[[], Dict[str, str]]) -> bool:
        """Publish what is new; return whether that includes a check of the host's namespace.

        Namespaces that wait to be set come first: publishing meanwhile would make them wait twice
        as long. Then, and in a storm of births, it is done once in a while. Uevents about other
        modules, which come in storms too, cause nothing here.
        """
        state, idle = self._state, self._scanner.idle
        state.new_events += self._publisher.proceed()
        if idle:
            self._publisher.describe(state.memory)
        now_ns = monotonic_ns()
        self._checked = self._checked or checked
        storm = self._scanner.schedule.looks.ready_ns(now_ns) > now_ns
        at_once = (idle and not storm) or (self._checked and not self._scanner.visiting)
        new = self._checked or bool(state.new_events) or self._published is not state.memory
        ends = state.reloading and self._scanner.scan_complete and self._ready_ns is None
        if (new or ends) and self._pace.is_due(at_once, now_ns):
            checked, self._checked = self._checked, False
            self._published = state.memory if idle else None
            self._publish_all(sources())
            self._pace.took(monotonic_ns() - now_ns)
        else:
            checked = False
        self._end_reload()
        return checked

    def save_counters(self) -> None:
        """Write the counters to the file that the next daemon goes on from."""
        document = saved_counters.save(self._state.memory, monotonic_ns())
        self._publisher.publish(COUNTERS, document)

    def _publish_all(self, sources: Dict[str, str]) -> None:
        state, publisher = self._state, self._publisher
        document = self._document(sources)
        recent = publisher.remember_recent(state.new_events)
        publisher.publish(STATUS, document)
        last = {"recent": recent, "last_write": documents.last_write(state.memory)}
        publisher.publish(EVENTS, last)
        self.save_counters()
        textfile = state.policy.textfile
        traffic = self._scanner.visits.traffic.values()
        publisher.publish_metrics(textfile, document, state.loaded, traffic)
        new_events, state.new_events = state.new_events, []
        publisher.log(*new_events)
        if state.reloading and self._scanner.scan_complete and self._ready_ns is None:
            self._ready_ns = monotonic_ns() + _READY_WITHIN_NS
        self._notifier.status(self._summary())

    def _end_reload(self) -> None:
        """Send READY=1 when `ipvsd status` finds what has been checked, or after a while."""
        if self._ready_ns is None or not self._scanner.scan_complete:
            return
        if self._publisher.idle or monotonic_ns() >= self._ready_ns:
            self._state.reloading, self._ready_ns = False, None
            self._notifier.ready(self._summary())

    def _summary(self) -> str:
        late = self._publisher.late
        return documents.summary(self._state.memory, self._state.policy) + (late and f"; {late}")

    def _document(self, sources: Dict[str, str]) -> Dict[str, Any]:
        """Return the content of status.json."""
        policy, memory = self._state.policy, self._state.memory
        known = documents.known(memory)
        return {
            "version": documents.STATUS_VERSION,
            "guard": __version__,
            "started": self._started,
            "mode": policy.mode.value,
            "enforce_share": host_share.document(policy.share),
            "scope": policy.scope.value,
            "module": memory.module.value if memory.module is not None else None,
            "states": documents.count_states(ns_state.keys for ns_state in known),
            "sources": sources,
            "canary": self._canary.status,
            "sampling": self._state.sampling,
            "chosen_on": self._choices(),
            "given_up": {
                "scans": self._scanner.scans_given_up,
                "namespaces": self._scanner.visits.barred_count(self._scanner.worker.is_wary),
            },
            "shared_procfs": self._scanner.procfs,
            "counters": documents.counters(memory, monotonic_ns()),
            "cost": self._publisher.cost.read(monotonic_ns(), os.getpid(), self._loop.own_pids),
        }

    def _choices(self) -> List[Dict[str, Any]]:
        """Return what wants estimation on, with the times that its files had at the reload."""
        policy = self._state.policy
        if self._chosen[0] is not policy:
            dated = [(one, files.changed_ns(one.path)) for one in choices(policy)]
            self._chosen = policy, [documents.choice_document(*one) for one in dated]
        return self._chosen[1]
