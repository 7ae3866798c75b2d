"""Guards the namespaces other than the host's: scans, records of visits, the canary."""

import time
from typing import List, Optional

from ipvsd.config.policy import rules_for
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.daemon.canary import RETRY_NS, Canary
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.event_sources import NamespaceSources
from ipvsd.daemon.kept_results import Collected
from ipvsd.daemon.scanner import NamespaceScanner
from ipvsd.enforce import record
from ipvsd.enforce.enforcer import check_results
from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.kernel.netns_births import BirthEvents
from ipvsd.model import CANARY_NAME, Mode, Module, Namespace, Reason, State
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.sd_notify import Notifier
from ipvsd.text import printable


class OtherNamespaces:
    """Drives the scanner and the canary, and records what they find."""

    def __init__(
        self,
        state: DaemonState,
        scanner: NamespaceScanner,
        sources: NamespaceSources,
        canary: Canary,
        notifier: Notifier,
    ) -> None:
        self._state = state
        self._scanner = scanner
        self._sources = sources
        self._canary = canary
        self._notifier = notifier
        self._cpu_ns = 0  # of this process, at the last call of expect()

    def rescan(self, reason: Optional[Reason]) -> None:
        """Check every namespace for a reason, or, if there is none to guard, pause."""
        instance = self._state.memory.instance
        self._sources.loading = self._state.loads_into_others
        if self._state.loads_into_others:
            if not self._scanner.early.has_begun(instance):
                self._scanner.pause()
                self._scanner.early.begin(instance)
        elif not self._state.guards_others:
            self._scanner.pause()
        elif reason is not None:
            event_ns = self._state.memory.loaded_ns if reason is Reason.LOAD else None
            self._scanner.rescan_all(reason, event_ns, instance)
            if reason is Reason.LOAD:
                # Before the visits: which namespaces the load has reached only a moment ago.
                self.expect(self._sources.take_births(self._state.new_events))

    def check_sources(self) -> None:
        """Open those sources again that have stopped working, if a check of them is due."""
        due_ns = self._sources.due_ns
        if due_ns is not None and due_ns <= monotonic_ns():
            self._state.new_events += self._sources.arrange(self._state.looks_for_others)

    def expect(self, births: Optional[BirthEvents]) -> None:
        """Scan soon for namespaces that were reported, if any were."""
        now_ns, schedule = monotonic_ns(), self._scanner.schedule
        if self._sources.births_muted and schedule.looks.ready_ns(now_ns) <= now_ns:
            # Before the look that may begin now: those in the pipe would wait for the next one.
            births = self._sources.take_births(self._state.new_events) or births
        cpu_ns = int(time.process_time() * 1e9)
        if schedule.births.count and self._state.guards_others:
            # What the loop has done since is charged to births: they have woken it.
            schedule.looks.share.spend(cpu_ns - self._cpu_ns, now_ns)
        self._cpu_ns = cpu_ns
        if births is not None:
            self._scanner.early.report(births.loaded_into)
        if births is not None and self._state.guards_others and births.is_news:
            schedule.expect_births(
                now_ns, births.births, births.first_ns, births.tasks, births.born
            )

    def proceed(self) -> None:
        """Give the worker its next job, and record what it has done."""
        state, now_ns = self._state, monotonic_ns()
        done = self._scanner.collect(state.policy)
        if self._scanner.visits.urgent:
            # What was found may have been born since the loop was woken: by now that is reported.
            self.expect(self._sources.take_births(state.new_events))
        hung = self._scanner.give_up_what_hangs()
        if hung:
            message = f"namespaces: {printable(hung)} took too long; it is tried again later"
            state.new_events.append(events.plain(Kind.VISIT_HUNG, message))
        large, self._scanner.large = self._scanner.large, []
        for pid in large:
            message = (
                f"namespaces: pid {pid} has more threads or descriptors than one search looks at; "
                "each search looks at the next part"
            )
            state.new_events.append(events.plain(Kind.SEARCHED_IN_PART, message))
        self._scanner.proceed(state.policy, state.memory, self._sources.births_reported)
        if done is not None and (state.guards_others or state.loads_into_others):
            self._record(done)
        elif (state.memory.rate_limiter.due_ns or now_ns) < now_ns:
            self._record(Collected([]))  # only logs the summary that is due
        if done is not None and state.reloading and not self._scanner.scan_complete:
            self._notifier.extend_timeout()
        # In a storm of births nobody is woken by each: the next look comes when its share is due.
        storm = self._scanner.schedule.looks.ready_ns(now_ns) > now_ns
        self._sources.mute_births(storm and state.guards_others)
        self._run_canary()

    def canary_wanted(self) -> bool:
        """Return whether the guard would set a new namespace to 0, so that a canary proves it."""
        policy = self._state.policy
        if policy.canary_ns is None or not self._state.guards_others:
            return False
        settings = rules_for(policy, Namespace(0, 0, CANARY_NAME)).settings
        zero = any(setting.key == RUN_ESTIMATION and setting.wanted == "0" for setting in settings)
        states = [k.state for k in self._state.host_keys if k.setting.key == RUN_ESTIMATION]
        return policy.mode is Mode.ENFORCE and zero and State.UNSUPPORTED not in states

    def deadlines_ns(self) -> List[int]:
        """Return when to call proceed() if nothing happens."""
        moments = [self._scanner.deadline_ns(), self._state.memory.rate_limiter.due_ns]
        moments.append(self._sources.due_ns)
        if self._sources.births_muted:
            moments.append(self._scanner.schedule.looks.ready_ns(monotonic_ns()))
        period_ns = self._canary_period_ns()
        if period_ns is not None and self._scanner.scan_complete and self.canary_wanted():
            moments.append(self._canary.deadline_ns(period_ns))
        return [moment for moment in moments if moment is not None]

    def close(self) -> None:
        """Give everything back."""
        self._canary.close()
        self._scanner.worker.close()

    def _record(self, done: Collected) -> None:
        state = self._state
        state.memory = record.forget(state.memory, done.gone, done.since_ns)
        others = [result for result in done.results if not self._canary.see(result)]
        results = check_results(others, Module.LIVE, done.since_ns)
        results = results._replace(writer=self._sources.writer)
        state.memory, new_events = record.record(state.memory, state.policy, results)
        state.new_events += new_events

    def _run_canary(self) -> None:
        period_ns = self._canary_period_ns()
        if period_ns is None:
            self._canary.forget()
            # Nothing will prove more than was proved when the probe was set.
            self._state.new_events += self._sources.trust()
        elif not self.canary_wanted():
            self._canary.interrupt()
        elif self._scanner.scan_complete:
            if not self._canary.exists:
                self._sources.own_birth = False
            self._state.new_events += self._canary.proceed(period_ns, monotonic_ns())
            self._judge_sources()

    def _canary_period_ns(self) -> Optional[int]:
        """Return the time between two canaries: shorter while one has to prove the probe."""
        period_ns = self._state.policy.canary_ns
        if period_ns is not None and self._sources.births_doubted:
            return min(period_ns, RETRY_NS)
        return period_ns

    def _judge_sources(self) -> None:
        """Believe the probe of births, or not, by what the canary has shown."""
        sources, new_events = self._sources, self._state.new_events
        if self._canary.newborn:
            # The loop may have been woken by the canary before it is by the probe.
            self.expect(sources.take_births(new_events))
            if not sources.own_birth:
                new_events += sources.distrust("the birth of the canary was not reported")
        if self._canary.failed:
            new_events += sources.distrust("the canary was not set in time")
        elif self._canary.set and sources.own_birth:
            new_events += sources.trust()
