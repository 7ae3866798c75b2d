"""The daemon: Init (may die), Loop (must not), Finish; the one place where the parts meet.

Events only say "look": what a look finds is the truth, so a lost, doubled or early event costs
at most one period. The hot path is short: the host's values are set before anything else is done,
then those of the other namespaces, by a thread that enters them one after the other.
"""

import os
import signal
import time
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from ipvsd import __version__
from ipvsd.config.parser import Config
from ipvsd.config.policy import rules_for
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.daemon.canary import Canary
from ipvsd.daemon.event_sources import NamespaceSources, Writes
from ipvsd.daemon.publisher import Publisher
from ipvsd.daemon.scanner import Collected, NamespaceScanner, is_canary
from ipvsd.enforce import decide, namespace_state, record
from ipvsd.enforce.enforcer import Enforcer, check_results
from ipvsd.enforce.memory import Memory
from ipvsd.journal import events, rate_limit
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.sender import Send
from ipvsd.kernel import module
from ipvsd.kernel.uevents import Monitor
from ipvsd.model import (
    CANARY_NAME,
    Exit,
    GuardError,
    Identity,
    KeyStatus,
    Mode,
    Module,
    Namespace,
    Reason,
    Scope,
    State,
)
from ipvsd.status import documents
from ipvsd.status.runtime_dir import EVENTS, STATUS, RuntimeFolder
from ipvsd.system.event_loop import Loop, Woken, monotonic_ns
from ipvsd.system.sd_notify import Notifier
from ipvsd.text import iso_time, printable

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
RELOAD_SIGNALS = {signal.SIGHUP}

# systemd's advice is half of the limit (sd_watchdog_enabled(3)).
_WATCHDOG_SHARE = 2
# A file that is no configuration at all has one for each of its lines.
_WARNINGS_MAX = 20
_CHECK = "ipvsd config --check"


class Parts(NamedTuple):
    """What the daemon is made of, built by `ipvsd run`."""

    guard: Enforcer
    load_config: Callable[[], Config]
    folder: RuntimeFolder
    send: Send
    notifier: Notifier
    watchdog_ns: Optional[int]
    new_monitor: Callable[[], Monitor]
    root: str


class Daemon:
    """Keeps the guarded values until it is told to stop; then it leaves them as they are."""

    def __init__(self, parts: Parts) -> None:
        """Init: everything that may fail, fails here, with a GuardError.

        The uevent socket is open before the first look, so that nothing falls between.
        """
        self._parts = parts
        self._config = parts.load_config()
        parts.folder.lock()
        self._loop = Loop(STOP_SIGNALS | RELOAD_SIGNALS)
        self._monitor = parts.new_monitor()
        self._loop.watch(self._monitor.fileno())
        self._scanner = NamespaceScanner(parts.guard, parts.root)
        self._loop.watch(self._scanner.fileno())
        self._sources = NamespaceSources(self._loop, parts.root)
        self._writes = Writes(self._loop, parts.root)
        self._canary = Canary(self._loop, lambda: parts.guard.read(RUN_ESTIMATION))
        self._memory = Memory()
        self._new_events: List[Event] = []
        self._publisher = Publisher(parts.folder, parts.send, parts.root)
        self._published: Optional[Memory] = None
        self._checked = False  # since the last publishing
        self._next_check_ns = 0
        # From a start or SIGHUP until a whole pass is over, which READY=1 then tells.
        self._reloading = True
        self._started = iso_time(int(time.time() * 1e9))

    def run(self) -> Exit:
        """Loop until a stop signal."""
        self._start()
        stopping = False
        while not stopping:
            woken = self._loop.wait(self._deadline_ns())
            event_ns = monotonic_ns()
            try:
                stopping = bool(woken.signals & STOP_SIGNALS)
                if not stopping:
                    self._cycle(woken, event_ns)
            except Exception as error:
                self._log_failure(error)
        self._finish()
        return Exit.AS_WANTED

    def _start(self) -> None:
        self._check(Reason.START, None)
        unreadable = [key.detail for key in self._host_keys() if key.state is State.UNREADABLE]
        if unreadable:
            raise GuardError(f"{unreadable[0]}; the guard cannot work here", Exit.CANNOT_TELL)
        self._new_events.insert(0, self._started_event())
        self._new_events += _warnings(self._config)
        self._arrange_sources()
        self._record_visits()
        self._publish(checked=True)

    def _cycle(self, woken: Woken, event_ns: int) -> None:
        """Find out why the loop woke; look, unless it was for events of other modules."""
        # By the clock, not by how the wait has ended: under a storm of events it never times out.
        periodic = event_ns >= self._next_check_ns
        trigger = Reason.DRIFT if periodic else None
        if woken.signals & RELOAD_SIGNALS:
            self._reloading = True
            self._parts.notifier.reloading(event_ns)
            trigger = self._reload()
        if not self._loaded() and self._sources.birth_woke(woken.descriptors):
            # While ip_vs is being loaded it comes to each namespace, the host's first; its uevent
            # is sent when it has come to all.
            trigger = Reason.LOAD
        if self._monitor.fileno() in woken.descriptors:
            trigger = self._take_uevents(event_ns) or trigger
        written = self._writes.take_events(woken.descriptors) and not self._contested()
        if written:
            trigger = trigger or Reason.DRIFT
        if trigger is not None:
            told = written or trigger is Reason.LOAD
            self._check(trigger, event_ns if told else None)
            self._arrange_sources()
        expect_births = self._sources.take_events(woken.descriptors, self._new_events)
        if expect_births is not None and self._guards_others():
            self._scanner.expect_births(expect_births.births, expect_births.first_ns)
        self._record_visits()
        self._publish(checked=trigger is not None)

    def _take_uevents(self, event_ns: int) -> Optional[Reason]:
        """Drain the uevents; return why to look, None when they tell nothing about ip_vs."""
        drained = self._monitor.drain()
        if "remove" in drained.actions:
            self._memory, new_events = record.module_seen(
                self._memory, Module.ABSENT, event_ns, event_ns
            )
            self._new_events += new_events
        if drained.error:
            self._memory, event = record.events_lost(self._memory, drained.error)
            self._new_events.append(event)
        if "add" in drained.actions:
            return Reason.LOAD
        if drained.error:
            return Reason.RESYNC
        return Reason.DRIFT if drained.actions else None

    def _check(self, trigger: Reason, event_ns: Optional[int]) -> None:
        """Look at the host's namespace, settle what that came to, and see what to do next."""
        policy, before = self._config.policy, self._memory
        known = before.namespaces.get(self._parts.guard.host.identity)
        instance = module.instance(self._parts.root)
        why = decide.reason_for(trigger, before.module, record.is_reload(before, instance))
        reason = namespace_state.host_reason(known, why)
        done = self._parts.guard.check_host(policy, reason, known, event_ns)
        done = done._replace(writer=self._sources.writer, instance=instance)
        self._memory, new_events = record.record_host(before, policy, done)
        self._new_events += new_events
        now_ns = monotonic_ns()
        moments = [decide.next_check(policy, self._memory.waiting_since_ns, now_ns)]
        moments += [seen.retry_at_ns for seen in done.seen if seen.retry_at_ns is not None]
        if self._parts.watchdog_ns is not None:
            moments.append(now_ns + self._parts.watchdog_ns // _WATCHDOG_SHARE)
        self._next_check_ns = min(moments)
        if not self._guards_others():
            self._scanner.pause()
            host = self._parts.guard.host.identity
            self._memory = record.without_module(self._memory, host, now_ns)
        elif self._memory.loads != before.loads:
            self._scanner.rescan_all(Reason.LOAD, self._memory.loaded_ns)
        elif trigger in (Reason.START, Reason.RELOAD, Reason.RESYNC):
            self._scanner.rescan_all(trigger, None)

    def _arrange_sources(self) -> None:
        self._new_events += self._sources.arrange(self._config.policy.scope is Scope.ALL)
        self._new_events += self._writes.arrange(self._memory.loads if self._loaded() else None)
        # From the first time that somebody changes a value back until that is called a contest.
        contests = [
            f for ns_state in self._memory.namespaces.values() for f in ns_state.contests.values()
        ]
        self._sources.name_writers(any(not contest.contested for contest in contests))

    def _record_visits(self) -> None:
        """Settle what the visitor has done in the other namespaces, and give it its next job."""
        policy, now_ns = self._config.policy, monotonic_ns()
        done = self._scanner.collect(self._memory)
        hung = self._scanner.give_up_what_hangs()
        if hung:
            message = f"namespaces: {printable(hung)}: it hangs, and was given up"
            self._new_events.append(events.plain(Kind.VISIT_HUNG, message))
        if done is not None and self._guards_others():
            self._record(done)
        elif (self._memory.rate_limiter.due_ns or now_ns) < now_ns:
            self._record(Collected())
        if done is not None and self._reloading and not self._scanner.scan_complete:
            self._parts.notifier.extend_timeout()
        self._run_canary()
        self._scanner.proceed(policy, self._memory, self._sources.complete)

    def _record(self, done: Collected) -> None:
        if done.alive is not None:
            self._forget_all_but(done.alive)
        for seen in filter(is_canary, done.seen):
            self._canary.see(seen)
        others = [seen for seen in done.seen if not is_canary(seen)]
        settled = check_results(others, Module.LIVE, done.since_ns)._replace(
            writer=self._sources.writer
        )
        self._memory, new_events = record.record(self._memory, self._config.policy, settled)
        self._new_events += new_events

    def _forget_all_but(self, alive: Set[Identity]) -> None:
        alive = {self._parts.guard.host.identity} | alive
        self._memory = record.forget(self._memory, alive, monotonic_ns())

    def _run_canary(self) -> None:
        period_ns = self._config.policy.canary_ns
        if period_ns is None:
            self._canary.forget()
        elif not self._canary_wanted():
            self._canary.interrupt()
        elif self._scanner.scan_complete:
            self._new_events += self._canary.proceed(period_ns, monotonic_ns())
            if self._canary.failed:
                self._new_events += self._sources.distrust("the canary's birth led to nothing")

    def _canary_wanted(self) -> bool:
        """Whether a new namespace would be set to 0: else there would be nothing to see."""
        policy = self._config.policy
        if policy.canary_ns is None or not self._guards_others():
            return False
        settings = rules_for(policy, Namespace(0, 0, CANARY_NAME)).settings
        zero = any(setting.key == RUN_ESTIMATION and setting.wanted == "0" for setting in settings)
        states = [key.state for key in self._host_keys() if key.setting.key == RUN_ESTIMATION]
        supported = State.UNSUPPORTED not in states
        return policy.mode is Mode.ENFORCE and zero and supported

    def _deadline_ns(self) -> int:
        """Return when to go on though nothing wakes the loop."""
        optional = [self._scanner.deadline_ns(), self._memory.rate_limiter.due_ns]
        if self._scanner.idle:
            optional.append(self._publisher.describing_ns(self._memory))
        moments = [moment for moment in optional if moment is not None]
        moments.append(self._next_check_ns)
        if self._scanner.scan_complete and self._canary_wanted():
            moments.append(self._canary.deadline_ns())
        return min(moments)

    def _publish(self, checked: bool) -> None:
        """Tell the status files, the journal and systemd what is new; then feed the watchdog.

        While namespaces are being set, that comes first, and would take twice as long beside this;
        then, and in a storm of births, it is done only once in a while. Events of others, which
        come in storms too, are none of its business.
        """
        idle = self._scanner.idle
        if idle:
            self._new_events += self._publisher.describe(self._memory)
        now_ns = monotonic_ns()
        self._checked = self._checked or checked
        at_once = idle or (self._checked and not self._scanner.visiting)
        new = self._checked or bool(self._new_events) or self._published is not self._memory
        if not (new and self._publisher.is_due(at_once, now_ns)):
            return
        checked, self._checked = self._checked, False
        self._published = self._memory if idle else None
        document = self._document()
        recent = self._publisher.note(self._new_events)
        self._new_events += self._publisher.publish(STATUS, document)
        last = {"recent": recent, "last_write": documents.last_write(self._memory)}
        self._new_events += self._publisher.publish(EVENTS, last)
        textfile = self._config.policy.textfile
        self._new_events += self._publisher.publish_metrics(textfile, document, self._loaded())
        new_events, self._new_events = self._new_events, []
        self._publisher.log(*new_events)
        summary = documents.summary(self._memory, self._config.policy)
        canary_sings = self._canary.proven or not self._canary_wanted()
        if self._reloading and self._scanner.scan_complete and canary_sings:
            self._reloading = False
            self._parts.notifier.ready(summary)
        self._parts.notifier.status(summary)
        readable = all(key.state is not State.UNREADABLE for key in self._host_keys())
        if checked and self._monitor_hears() and readable and not self._canary.failed:
            self._parts.notifier.watchdog()
        self._publisher.took(monotonic_ns() - now_ns)

    def _monitor_hears(self) -> bool:
        """Whether the uevent socket is sound; a broken one is replaced, and all looked at again."""
        defect = self._monitor.defect()
        if defect is None:
            return True
        replacement = self._parts.new_monitor()
        self._loop.forget(self._monitor.fileno())
        self._loop.watch(replacement.fileno())
        self._monitor = replacement
        self._memory, event = record.events_lost(self._memory, defect)
        self._new_events.append(event)
        self._next_check_ns = monotonic_ns()
        return False

    def _reload(self) -> Reason:
        """Take over the configuration as it is now, or keep the running one if it is refused.

        Returns why a value is found different in the look that follows.
        """
        before = self._config.policy
        try:
            self._config = self._parts.load_config()
        except GuardError as error:
            message = f"{error}; refused, the running configuration stays"
            self._new_events.append(events.plain(Kind.RELOAD_REFUSED, message))
            return Reason.DRIFT
        message = f"configuration: reloaded: {_guarding(self._config)}"
        self._new_events.append(events.plain(Kind.RELOADED, message))
        self._new_events += _warnings(self._config)
        self._memory = record.reset_contests(self._memory)
        return Reason.DRIFT if self._config.policy == before else Reason.RELOAD

    def _log_failure(self, error: Exception) -> None:
        """Report a defect of the guard itself; the watchdog restarts it if it lasts."""
        self._next_check_ns = monotonic_ns() + self._config.policy.resync_ns
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{os.path.basename(where.filename)}:{where.lineno}"
        message = f"guard: a pass failed: {error!r} at {line}; trying again at the next look"
        self._publisher.log(events.plain(Kind.CYCLE_FAILED, printable(message)))

    def _finish(self) -> None:
        self._parts.notifier.stopping()
        stopped = events.plain(Kind.STOPPED, "guard: stopped; all values stay as they are")
        self._publisher.log(
            *self._new_events, *rate_limit.suppressed(self._memory.rate_limiter), stopped
        )
        self._canary.forget()
        self._scanner.close()
        self._sources.close()
        self._writes.close()
        self._publisher.close()
        self._parts.folder.unlock()
        self._parts.notifier.close()
        self._loop.close()

    def _loaded(self) -> bool:
        return self._memory.module is not None and self._memory.module.loaded

    def _guards_others(self) -> bool:
        """Whether there may be anything to do in other namespaces; a kernel may not have any."""
        in_scope = self._config.policy.scope is Scope.ALL
        return self._loaded() and in_scope and self._parts.guard.host.inode != 0

    def _host_keys(self) -> Tuple[KeyStatus, ...]:
        host = self._memory.namespaces.get(self._parts.guard.host.identity)
        return host.keys if host is not None else ()

    def _contested(self) -> bool:
        return any(key.state is State.CONTESTED for key in self._host_keys())

    def _started_event(self) -> Event:
        module = self._memory.module.value if self._memory.module is not None else "unknown"
        message = (
            f"guard: started: version {__version__}, {_guarding(self._config)}; "
            f"kernel {os.uname().release}, ip_vs {module}"
        )
        return events.plain(Kind.STARTED, message)

    def _document(self) -> Dict[str, Any]:
        policy, memory = self._config.policy, self._memory
        return {
            "version": documents.STATUS_VERSION,
            "guard": __version__,
            "started": self._started,
            "mode": policy.mode.value,
            "scope": policy.scope.value,
            "module": memory.module.value if memory.module is not None else None,
            "states": documents.count_states(ns_state.keys for ns_state in documents.known(memory)),
            "sources": dict(self._sources.states(), uevents="on", writes=self._writes.state),
            "canary": self._canary.status,
            "counters": documents.counters(memory, monotonic_ns()),
        }


def _guarding(config: Config) -> str:
    policy = config.policy
    keys = ", ".join(f"{setting.key}={setting.wanted}" for setting in policy.settings)
    scope = "every namespace" if policy.scope is Scope.ALL else "the host's namespace"
    return f"mode {policy.mode.value}, guarding {keys or 'nothing'} in {scope}"


def _warnings(config: Config) -> List[Event]:
    told, rest = config.warnings[:_WARNINGS_MAX], config.warnings[_WARNINGS_MAX:]
    texts = [*told, *([f"configuration: {len(rest)} warnings more: {_CHECK}"] if rest else [])]
    return [events.plain(Kind.CONFIG_WARNING, text) for text in texts]
