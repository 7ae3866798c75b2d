"""Publishes the daemon's state: status files, journal, metrics, status for systemd."""

import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ipvsd import __version__
from ipvsd.config.choices import choices
from ipvsd.daemon.canary import Canary
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.own_cost import OwnCost
from ipvsd.daemon.publisher import Publisher
from ipvsd.daemon.scanner import NamespaceScanner
from ipvsd.enforce.memory import Memory
from ipvsd.model import Policy
from ipvsd.status import documents, saved_counters
from ipvsd.status.runtime_dir import COUNTERS, EVENTS, STATUS
from ipvsd.system import files
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.sd_notify import Notifier
from ipvsd.text import iso_time


class Reporter:
    """Decides when to publish, and does it; it never takes time from namespaces that wait."""

    def __init__(
        self,
        state: DaemonState,
        publisher: Publisher,
        notifier: Notifier,
        scanner: NamespaceScanner,
        canary: Canary,
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._notifier = notifier
        self._scanner = scanner
        self._canary = canary
        self._cost = OwnCost()
        self._ready = False  # READY=1 has been sent
        self._started = iso_time(int(time.time() * 1e9))
        self._published: Optional[Memory] = None
        self._checked = False  # since the last publishing
        self._chosen: Tuple[Optional[Policy], List[Dict[str, Any]]] = (None, [])

    def deadline_ns(self) -> Optional[int]:
        """Return when to call publish() if nothing happens, None for never."""
        return self._publisher.describing_ns(self._state.memory) if self._scanner.idle else None

    def publish(self, checked: bool, sources: Callable[[], Dict[str, str]]) -> bool:
        """Publish what is new; return whether that includes a check of the host's namespace.

        Namespaces that wait to be set come first: publishing meanwhile would make them wait twice
        as long. Then, and in a storm of births, it is done once in a while. Uevents about other
        modules, which come in storms too, cause nothing here.
        """
        state, idle = self._state, self._scanner.idle
        if idle:
            state.new_events += self._publisher.describe(state.memory)
        now_ns = monotonic_ns()
        self._checked = self._checked or checked
        at_once = idle or (self._checked and not self._scanner.visiting)
        new = self._checked or bool(state.new_events) or self._published is not state.memory
        ends = state.reloading and self._scanner.scan_complete  # READY=1 is due
        if not ((new or ends) and self._publisher.is_due(at_once, now_ns)):
            return False
        checked, self._checked = self._checked, False
        self._published = state.memory if idle else None
        self._publish_all(sources())
        self._publisher.took(monotonic_ns() - now_ns)
        return checked

    def save_counters(self) -> None:
        """Write the counters to the file that the next daemon goes on from."""
        document = saved_counters.save(self._state.memory, monotonic_ns())
        self._state.new_events += self._publisher.publish(COUNTERS, document)

    def close(self) -> None:
        """Give everything back."""
        self._cost.close()

    def _publish_all(self, sources: Dict[str, str]) -> None:
        state, publisher = self._state, self._publisher
        document = self._document(sources)
        recent = publisher.remember_recent(state.new_events)
        state.new_events += publisher.publish(STATUS, document)
        last = {"recent": recent, "last_write": documents.last_write(state.memory)}
        state.new_events += publisher.publish(EVENTS, last)
        self.save_counters()
        textfile = state.policy.textfile
        traffic = self._scanner.visits.traffic.values()
        state.new_events += publisher.publish_metrics(textfile, document, state.loaded, traffic)
        new_events, state.new_events = state.new_events, []
        publisher.log(*new_events)
        summary = documents.summary(state.memory, state.policy)
        if state.reloading and self._scanner.scan_complete:
            state.reloading, self._ready = False, True
            self._notifier.ready(summary)
        self._notifier.status(summary)

    def _document(self, sources: Dict[str, str]) -> Dict[str, Any]:
        """Return the content of status.json."""
        policy, memory = self._state.policy, self._state.memory
        known = documents.known(memory)
        return {
            "version": documents.STATUS_VERSION,
            "guard": __version__,
            "started": self._started,
            "mode": policy.mode.value,
            "scope": policy.scope.value,
            "module": memory.module.value if memory.module is not None else None,
            "states": documents.count_states(ns_state.keys for ns_state in known),
            "sources": sources,
            "canary": self._canary.status,
            "chosen_on": self._choices(),
            "given_up": {
                "scans": self._scanner.scans_given_up,
                "namespaces": self._scanner.visits.barred_count(self._scanner.worker.is_wary),
            },
            "shared_procfs": self._scanner.procfs,
            "counters": documents.counters(memory, monotonic_ns()),
            "cost": self._cost.read(monotonic_ns()) if self._ready else None,
        }

    def _choices(self) -> List[Dict[str, Any]]:
        """Return what wants estimation on, with the times that its files had at the reload."""
        policy = self._state.policy
        if self._chosen[0] is not policy:
            dated = [(one, files.changed_ns(one.path)) for one in choices(policy)]
            self._chosen = policy, [documents.choice_document(*one) for one in dated]
        return self._chosen[1]
