"""The daemon: Init (may die), Loop (must not), Finish; the one place where the parts meet.

Events only say "look": what a look finds is the truth, so a lost, doubled or early event costs
at most one period. The hot path is short: the values are set before anything else is done.
"""

import os
import signal
import time
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

from ipvsd import __version__
from ipvsd.core import events, ledger, plan
from ipvsd.core.config import Config
from ipvsd.core.events import Event, Kind
from ipvsd.core.ledger import Memory, Pass
from ipvsd.core.model import Exit, GuardError, Module, Reason, State
from ipvsd.core.text import iso_time, printable
from ipvsd.guard import Guard
from ipvsd.host.journal import Send
from ipvsd.host.notify import Notifier
from ipvsd.host.state import RuntimeFolder
from ipvsd.kernel.uevents import Monitor
from ipvsd.loop import Loop, monotonic_ns

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
RELOAD_SIGNALS = {signal.SIGHUP}

# systemd's advice is half of the limit (sd_watchdog_enabled(3)).
_WATCHDOG_SHARE = 2


class Parts(NamedTuple):
    """What the daemon is made of, built by `ipvsd run`."""

    guard: Guard
    load_config: Callable[[], Config]
    folder: RuntimeFolder
    send: Send
    notifier: Notifier
    watchdog_ns: Optional[int]
    new_monitor: Callable[[], Monitor]


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
        self._memory = Memory()
        self._news: List[Event] = []
        self._published: Dict[str, Any] = {}
        self._status_file_error: Optional[str] = None
        self._next_look_ns = 0
        # From a start or SIGHUP until a whole pass is over, which READY=1 then tells.
        self._reloading = True
        self._started = iso_time(int(time.time() * 1e9))

    def run(self) -> Exit:
        """Loop until a stop signal."""
        self._start()
        stopping = False
        while not stopping:
            woken = self._loop.wait(self._next_look_ns)
            event_ns = monotonic_ns()
            try:
                stopping = bool(woken.signals & STOP_SIGNALS)
                if not stopping:
                    self._turn(woken.descriptors, woken.signals, event_ns)
            except Exception as error:
                self._survive(error)
        self._finish()
        return Exit.AS_WANTED

    def _start(self) -> None:
        done = self._look(Reason.START, None)
        unreadable = [key.detail for key in done.keys if key.state is State.UNREADABLE]
        if unreadable:
            raise GuardError(f"{unreadable[0]}; the guard cannot work here", Exit.CANNOT_TELL)
        self._news.insert(0, self._started_event(done))
        self._news += _warnings(self._config)
        self._publish(done)

    def _turn(self, descriptors: Set[int], signals: Set[int], event_ns: int) -> None:
        """Find out why the loop woke; look, unless it was for events of other modules."""
        # By the clock, not by how the wait has ended: under a storm of events it never times out.
        trigger = Reason.DRIFT if event_ns >= self._next_look_ns else None
        if signals & RELOAD_SIGNALS:
            self._reloading = True
            self._parts.notifier.reloading(event_ns)
            trigger = self._reload()
        if descriptors:
            trigger = self._hear(event_ns) or trigger
        if trigger is not None:
            self._publish(self._look(trigger, event_ns if trigger is Reason.LOAD else None))

    def _hear(self, event_ns: int) -> Optional[Reason]:
        """Drain the uevents; return why to look, None when they tell nothing about ip_vs."""
        drained = self._monitor.drain()
        if "remove" in drained.actions:
            self._memory, news = ledger.module_seen(self._memory, Module.ABSENT, event_ns, event_ns)
            self._news += news
        if drained.error:
            self._memory, event = ledger.events_lost(self._memory, drained.error)
            self._news.append(event)
        if "add" in drained.actions:
            return Reason.LOAD
        if drained.error:
            return Reason.RESYNC
        return Reason.DRIFT if drained.actions else None

    def _look(self, trigger: Reason, event_ns: Optional[int]) -> Pass:
        """Make a pass, settle what it came to, and set the time of the next one."""
        policy = self._config.policy
        reason = plan.reason_for(trigger, self._memory.module)
        done = self._parts.guard.run_pass(policy, reason, event_ns)
        self._memory, news = ledger.settle(self._memory, policy, done)
        self._news += news
        now_ns = monotonic_ns()
        self._next_look_ns = plan.next_look(policy, self._memory.waiting_since_ns, now_ns)
        if self._parts.watchdog_ns is not None:
            feed_ns = now_ns + self._parts.watchdog_ns // _WATCHDOG_SHARE
            self._next_look_ns = min(self._next_look_ns, feed_ns)
        return done

    def _publish(self, done: Pass) -> None:
        """Tell the journal, the status file and systemd what is new; then feed the watchdog."""
        self._publish_status_file(done)
        news, self._news = self._news, []
        for event in news:
            self._tell(event)
        summary = ledger.summary(self._memory, self._config.policy, done.keys)
        if self._reloading:
            self._reloading = False
            self._parts.notifier.ready(summary)
        self._parts.notifier.status(summary)
        readable = all(key.state is not State.UNREADABLE for key in done.keys)
        if self._monitor_hears() and readable:
            self._parts.notifier.watchdog()

    def _publish_status_file(self, done: Pass) -> None:
        document = self._document(done)
        if document == self._published:
            return
        error = self._parts.folder.publish(document)
        if error is None:
            self._published = document
        elif error != self._status_file_error:
            message = f"{error}; `ipvsd status` shows older counters, the guard goes on"
            self._news.append(events.plain(Kind.STATUS_FILE, message))
        self._status_file_error = error

    def _monitor_hears(self) -> bool:
        """Whether the uevent socket is sound; a broken one is replaced, and all looked at again."""
        defect = self._monitor.defect()
        if defect is None:
            return True
        replacement = self._parts.new_monitor()
        self._loop.forget(self._monitor.fileno())
        self._loop.watch(replacement.fileno())
        self._monitor = replacement
        self._memory, event = ledger.events_lost(self._memory, defect)
        self._news.append(event)
        self._next_look_ns = monotonic_ns()
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
            self._news.append(events.plain(Kind.RELOAD_REFUSED, message))
            return Reason.DRIFT
        message = f"configuration: reloaded: {_guarding(self._config)}"
        self._news.append(events.plain(Kind.RELOADED, message))
        self._news += _warnings(self._config)
        return Reason.DRIFT if self._config.policy == before else Reason.RELOAD

    def _survive(self, error: Exception) -> None:
        """Report a defect of the guard itself; the watchdog restarts it if it lasts."""
        self._next_look_ns = monotonic_ns() + self._config.policy.resync_ns
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{os.path.basename(where.filename)}:{where.lineno}"
        message = f"guard: a pass failed: {error!r} at {line}; trying again at the next look"
        self._tell(events.plain(Kind.PASS_FAILED, printable(message)))

    def _finish(self) -> None:
        self._parts.notifier.stopping()
        self._tell(events.plain(Kind.STOPPED, "guard: stopped; all values stay as they are"))
        self._parts.folder.withdraw()
        self._parts.folder.unlock()
        self._parts.notifier.close()
        self._loop.close()

    def _tell(self, event: Event) -> None:
        try:
            self._parts.send(event)
        except OSError:
            pass  # neither the journal nor stderr takes it: there is nowhere left to tell

    def _started_event(self, done: Pass) -> Event:
        message = (
            f"guard: started: version {__version__}, {_guarding(self._config)}; "
            f"kernel {os.uname().release}, ip_vs {done.module.value}"
        )
        return events.plain(Kind.STARTED, message)

    def _document(self, done: Pass) -> Dict[str, Any]:
        return {
            "version": ledger.STATUS_VERSION,
            "guard": __version__,
            "started": self._started,
            "mode": self._config.policy.mode.value,
            "module": done.module.value,
            "keys": ledger.keys_document(done.namespace, done.keys),
            "counters": ledger.counters(self._memory),
        }


def _guarding(config: Config) -> str:
    policy = config.policy
    keys = ", ".join(f"{setting.key}={setting.wanted}" for setting in policy.settings)
    return f"mode {policy.mode.value}, guarding {keys or 'nothing'}"


def _warnings(config: Config) -> List[Event]:
    return [events.plain(Kind.CONFIG_WARNING, warning) for warning in config.warnings]
