"""The daemon: start (may fail), loop (must not), finish. The one place where its parts meet.

A cycle of the loop observes, decides, writes, records and publishes. An event only says where to
check first, and what the check finds is the truth: a lost, doubled or early event costs at most one
period. The hot path is short: the host's values are set before anything else is done, then those of
the other namespaces, by a child process that enters one after the other.
"""

import functools
import os
import signal
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from ipvsd import __version__
from ipvsd.config import expiry
from ipvsd.config.files import Places
from ipvsd.config.parser import Config
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.daemon.canary import Canary
from ipvsd.daemon.config_events import guarding, misplaced, warnings
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.event_sources import NamespaceSources, Writes
from ipvsd.daemon.failures import Failures
from ipvsd.daemon.host_check import HostCheck
from ipvsd.daemon.other_namespaces import OtherNamespaces
from ipvsd.daemon.publisher import Publisher
from ipvsd.daemon.reporter import Reporter
from ipvsd.daemon.sampling import Sampling
from ipvsd.daemon.scanner import NamespaceScanner
from ipvsd.daemon.uevent_source import Uevents
from ipvsd.enforce import record, record_module
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.enforce.memory import Memory
from ipvsd.journal import events, rate_limit
from ipvsd.journal.events import Event, Kind
from ipvsd.journal.sender import Send
from ipvsd.kernel import ipvs, netns_discovery
from ipvsd.kernel.uevents import Monitor
from ipvsd.model import Exit, GuardError, Module, Reason, State
from ipvsd.status import saved_counters
from ipvsd.status.runtime_dir import RuntimeFolder
from ipvsd.system.event_loop import Loop, Woken, monotonic_ns
from ipvsd.system.mailbox import Mailbox
from ipvsd.system.sd_notify import Notifier
from ipvsd.text import iso_time, printable

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
RELOAD_SIGNALS = {signal.SIGHUP}

# Reasons of one cycle, those first that ask for a check of every namespace. A load that comes with
# one of these is recognised by itself (record_module.may_be_reloaded).
_BY_REACH = (Reason.RELOAD, Reason.SAMPLE, Reason.RESYNC, Reason.LOAD, Reason.DRIFT)


def new_loop() -> Loop:
    """Return the loop of a daemon, which takes its signals from now on."""
    # A child that was killed has ended: Loop.wait() reaps it.
    return Loop(STOP_SIGNALS | RELOAD_SIGNALS | {signal.SIGCHLD})


class Parts(NamedTuple):
    """What `ipvsd run` builds for the daemon."""

    loop: Loop
    enforcer: Enforcer
    load_config: Callable[[], Config]
    places: Places
    folder: RuntimeFolder
    send: Send
    stderr: Mailbox  # for lines that `send` cannot write without blocking
    notifier: Notifier
    watchdog_ns: Optional[int]
    new_monitor: Callable[[], Monitor]
    root: str


class Daemon:
    """Keeps the guarded values until a stop signal comes; then it leaves them as they are."""

    def __init__(self, parts: Parts) -> None:
        """Build everything, while the lock is held; what may fail fails here, with a GuardError.

        The uevent socket is open before the first check, so that no load falls in between.
        """
        self._parts = parts
        self._state = DaemonState(parts.load_config(), parts.enforcer.host)
        self._state.memory, self._state.new_events = _counted_before(parts.folder)
        self._loop = parts.loop
        self._uevents = Uevents(self._loop, parts.new_monitor)
        scanner = NamespaceScanner(parts.enforcer, parts.root)
        self._loop.follow(scanner.worker.process)
        self._sources = NamespaceSources(self._loop, parts.root, parts.enforcer.host.inode)
        self._writes = Writes(self._loop, parts.root)
        self._failures = Failures()
        self._canary = Canary(self._loop, lambda: parts.enforcer.read(RUN_ESTIMATION))
        self._host = HostCheck(self._state, parts.enforcer, parts.watchdog_ns)
        self._others = OtherNamespaces(
            self._state, scanner, self._sources, self._canary, parts.notifier
        )
        self._publisher = Publisher(self._loop, parts.folder, parts.send, parts.stderr, parts.root)
        has_kthreads = functools.partial(ipvs.has_kthreads, parts.root)
        self._sampling = Sampling(self._state, has_kthreads, os.uname().nodename)
        self._reporter = Reporter(
            self._state, self._publisher, parts.notifier, scanner, self._canary, self._loop
        )

    def run(self) -> Exit:
        """Loop until a stop signal comes."""
        try:
            self._start()
        except BaseException:
            self._sources.close()  # no kprobe stays behind
            raise
        stopping = False
        while not stopping:
            woken = self._loop.wait(self._deadline_ns(), self._failures.pause_end_ns)
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
        state = self._state
        self._check(Reason.START, None)
        unreadable = [key.detail for key in state.host_keys if key.state is State.UNREADABLE]
        if unreadable:
            raise GuardError(f"{unreadable[0]}; the guard cannot work here", Exit.CANNOT_TELL)
        module = state.memory.module.value if state.memory.module is not None else "unknown"
        message = (
            f"guard: started: version {__version__}, {guarding(state.config)}; "
            f"kernel {os.uname().release}, ip_vs {module}"
        )
        state.new_events.insert(0, events.plain(Kind.STARTED, message))
        state.new_events += misplaced(netns_discovery.is_hosts(self._parts.root))
        state.new_events += warnings(state.config)
        self._others.proceed()
        self._publish(checked=True)

    def _cycle(self, woken: Woken, event_ns: int) -> None:
        """Run one cycle; the host's namespace is checked only if there is a reason to."""
        trigger, reported_ns = self._observe(woken, event_ns)
        if trigger is not None:
            self._check(trigger, reported_ns)
        self._others.check_sources()
        self._others.expect(self._sources.take_events(woken.descriptors, self._state.new_events))
        self._others.proceed()
        self._publish(checked=trigger is not None)

    def _observe(self, woken: Woken, event_ns: int) -> Tuple[Optional[Reason], Optional[int]]:
        """Return why to check the host's namespace, None if not, and when the event came."""
        reasons = set()
        # By the clock, and not by how the wait has ended: in a storm of events no wait times out.
        if event_ns >= self._host.due_ns:
            reasons.add(Reason.DRIFT)
        if woken.signals & RELOAD_SIGNALS:
            self._state.reloading = True
            self._parts.notifier.reloading(event_ns)
            reasons.add(self._reload(self._parts.load_config, "reloaded"))
        config, places = self._state.config, self._parts.places
        if self._sampling.proceed():
            reasons.add(Reason.SAMPLE)
        ended = expiry.ended(config, places)
        if ended:
            reasons.add(self._reload(lambda: expiry.rest(config, places), ended))
        if self._state.host_waits and self._sources.birth_woke(woken.descriptors):
            # While ip_vs is loaded, it is added to each namespace, first to the host's. Its uevent
            # comes when it has been added to all.
            reasons.add(Reason.LOAD)
        if self._uevents.woke(woken.descriptors):
            reasons |= self._take_uevents(event_ns)
        contested = any(key.state is State.CONTESTED for key in self._state.host_keys)
        written = self._writes.take_events(woken.descriptors) and not contested
        if written:
            reasons.add(Reason.DRIFT)
        timed = written or Reason.LOAD in reasons
        return next((one for one in _BY_REACH if one in reasons), None), event_ns if timed else None

    def _take_uevents(self, event_ns: int) -> Set[Reason]:
        """Return why to check after the uevents that came; empty if none was about ip_vs."""
        state, drained = self._state, self._uevents.drain()
        if "remove" in drained.actions:
            state.memory, new_events = record_module.record_module(
                state.memory, Module.ABSENT, event_ns, event_ns
            )
            state.new_events += new_events
        reasons = {Reason.LOAD if action == "add" else Reason.DRIFT for action in drained.actions}
        if drained.error:
            self._record_lost_events(drained.error)
            reasons.add(Reason.RESYNC)
        return reasons

    def _check(self, trigger: Reason, event_ns: Optional[int]) -> None:
        """Check the host's namespace, the others if need be, and open or close event sources."""
        self._others.rescan(self._host.check(trigger, event_ns, self._sources.writer))
        state = self._state
        state.new_events += self._sources.arrange(state.looks_for_others)
        state.new_events += self._writes.arrange(state.memory.loads if state.loaded else None)
        # From the first change by somebody else until the value is called contested.
        known = state.memory.namespaces.values()
        contests = [one for ns_state in known for one in ns_state.contests.values()]
        self._sources.name_writers(any(not contest.contested for contest in contests))

    def _publish(self, checked: bool) -> None:
        """Publish what is new, and feed the watchdog if the guard does its work."""
        published = self._reporter.publish(checked, self._source_states)
        if not published or not self._uevents_work():
            return
        if all(key.state is not State.UNREADABLE for key in self._state.host_keys):
            self._parts.notifier.watchdog()

    def _uevents_work(self) -> bool:
        """Return whether the uevent socket works; replace it if not, and check everything."""
        defect = self._uevents.replace_if_broken()
        if defect is not None:
            self._record_lost_events(defect)
            self._host.due_ns = monotonic_ns()
        return defect is None

    def _record_lost_events(self, cause: str) -> None:
        state = self._state
        state.memory, event = record_module.record_lost_events(state.memory, cause)
        state.new_events.append(event)

    def _deadline_ns(self) -> int:
        """Return when the next cycle begins if nothing wakes the loop."""
        moments = self._reporter.deadlines_ns()
        left_ns = expiry.left_ns(self._state.config)
        moments += [] if left_ns is None else [monotonic_ns() + left_ns]
        sampling_ns = self._sampling.deadline_ns()
        moments += [] if sampling_ns is None else [sampling_ns]
        return min([*moments, *self._others.deadlines_ns(), self._host.due_ns])

    def _reload(self, load: Callable[[], Config], why: str) -> Reason:
        """Take another configuration; if it is refused, the running one stays.

        Return the reason for the check that follows.
        """
        state, before = self._state, self._state.policy
        try:
            state.config = load()
        except GuardError as error:
            message = f"{error}; refused, the running configuration stays"
            state.new_events.append(events.plain(Kind.RELOAD_REFUSED, message))
            return Reason.DRIFT
        message = f"configuration: {why}: {guarding(state.config)}"
        state.new_events.append(events.plain(Kind.RELOADED, message))
        state.new_events += warnings(state.config)
        state.memory = record.reset_contests(state.memory)
        return Reason.DRIFT if state.policy == before else Reason.RELOAD

    def _log_failure(self, error: Exception) -> None:
        """Log a defect of the guard itself; if it lasts, systemd's watchdog restarts the guard."""
        now_ns = monotonic_ns()
        self._host.due_ns = now_ns + self._state.policy.resync_ns
        self._publisher.log(*self._failures.note(error, now_ns))

    def _source_states(self) -> Dict[str, str]:
        return dict(self._sources.states(), uevents="on", writes=self._writes.state)

    def _finish(self) -> None:
        self._parts.notifier.stopping()
        self._sampling.stop(
            lambda: self._check(Reason.SAMPLE, None), self._others.proceed, self._loop
        )
        left = self._sources.close()
        stopped = events.plain(Kind.STOPPED, "guard: stopped; all values stay as they are")
        suppressed = rate_limit.summary(self._state.memory.rate_limiter)
        leftovers = (
            [events.plain(Kind.SOURCE_LOST, f"births of namespaces: {left}")] if left else []
        )
        self._reporter.save_counters()
        self._publisher.log(*self._state.new_events, *suppressed, *leftovers, stopped)
        self._others.close()
        self._writes.close()
        self._publisher.close()
        self._parts.folder.unlock()
        self._parts.notifier.close()


def _counted_before(folder: RuntimeFolder) -> Tuple[Memory, List[Event]]:
    """Return a memory with what a daemon before has counted since the boot, and events."""
    memory, new_events = Memory(), []
    try:
        saved = folder.saved_counters()
        if saved is not None:
            memory = saved_counters.restore(saved, monotonic_ns())
    except ValueError as error:
        message = printable(f"counters: not restored, since {error}; they begin at zero")
        new_events.append(events.plain(Kind.STATUS_FILE, message))
    if not memory.tally.since:
        now = iso_time(int(time.time() * 1e9))
        memory = memory._replace(tally=memory.tally._replace(since=now))
    return memory, new_events
