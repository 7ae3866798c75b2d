"""The canary: a throw-away namespace that the guard makes to see itself set the value in it."""

import time
from typing import Any, Callable, Dict, List, Optional

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.kernel.netns_create import Born, Failed, TemporaryNamespace
from ipvsd.model import NS_PER_S, NamespaceResult, Reading, State
from ipvsd.system.event_loop import Loop
from ipvsd.text import format_duration, iso_time

# Five times the period of estimation: what takes longer works for nobody.
LIMIT_NS = 10 * NS_PER_S
RETRY_NS = 30 * NS_PER_S


class Canary:
    """Makes one at a time, waits until the guard's ordinary ways have set it, and lets it go."""

    def __init__(self, loop: Loop, read: Callable[[], Reading]) -> None:
        """Take what reads run_estimation in the namespace of the calling thread."""
        self._loop = loop
        self._read = read
        self._made: Optional[TemporaryNamespace] = None
        self._born: Optional[Born] = None
        self._seen: Optional[NamespaceResult] = None
        self._began_ns = 0
        self._due_ns = 0
        self._failed = False
        self._status: Optional[Dict[str, Any]] = None

    @property
    def proven(self) -> bool:
        """Whether the last one was set, or none could be made; not while the first one waits."""
        return self._status is not None and not self._failed

    @property
    def failed(self) -> bool:
        """Whether the last one was not set in time."""
        return self._failed

    @property
    def status(self) -> Optional[Dict[str, Any]]:
        """Return how the last one went as plain data, None when there was none."""
        return self._status

    def deadline_ns(self) -> int:
        """Return when to call proceed() though nothing has happened."""
        return self._began_ns + LIMIT_NS if self._made is not None else self._due_ns

    def proceed(self, period_ns: int, now_ns: int) -> List[Event]:
        """Make one if it is time to, or find that the one there is was forgotten."""
        if self._made is None:
            return self._begin(period_ns, now_ns) if now_ns >= self._due_ns else []
        new_events = self._made.take()
        if isinstance(new_events, Failed):
            return self._impossible(new_events.error, now_ns + period_ns)
        self._born = new_events if new_events is not None else self._born
        if self._born is not None and self._is_set():
            return self._succeed(self._born, now_ns + period_ns)
        if now_ns >= self._began_ns + LIMIT_NS:
            return self._fail(now_ns + RETRY_NS)
        return []

    def see(self, seen: NamespaceResult) -> None:
        """Take what a visit to it has come to."""
        self._seen = seen

    def interrupt(self) -> None:
        """None can be set just now; one that was made is let go, and another made later."""
        if self._made is not None:
            self._let_go()
            self._due_ns = 0

    def forget(self) -> None:
        """None is wanted any more."""
        self.interrupt()
        self._due_ns, self._failed, self._status = 0, False, None

    def _begin(self, period_ns: int, now_ns: int) -> List[Event]:
        self._seen = self._born = None
        self._began_ns = now_ns
        try:
            self._made = TemporaryNamespace(self._read)
        except (OSError, RuntimeError) as error:  # no descriptors, no threads
            return self._impossible(str(error), now_ns + period_ns)
        self._loop.watch(self._made.fileno())
        return []

    def _is_set(self) -> bool:
        if self._seen is None or self._born is None:
            return False
        if self._seen.namespace.identity != self._born.identity:
            return False
        states = [key.state for key in self._seen.keys if key.setting.key == RUN_ESTIMATION]
        return states == [State.AS_WANTED]

    def _succeed(self, born: Born, due_ns: int) -> List[Event]:
        assert self._seen is not None
        written = [o.written_ns for o in self._seen.outcomes if o.write.key == RUN_ESTIMATION]
        until_ns = written[0] if written and written[0] is not None else self._seen.now_ns
        took_ns = max(0, until_ns - born.born_ns)
        new_events = self._status is None or self._failed
        self._end(due_ns, fixed_ns=took_ns)
        if not new_events:
            return []
        message = (
            f"canary: a new namespace read {born.reading.value or 'nothing'} and was set by the "
            f"guard {format_duration(took_ns)} after its birth"
        )
        return [events.plain(Kind.CANARY_SET, message)]

    def _fail(self, due_ns: int) -> List[Event]:
        told = self._failed
        self._end(due_ns, error="not set in time")
        self._failed = True
        message = (
            f"canary: a new namespace was not set within {format_duration(LIMIT_NS)}; systemd's "
            "watchdog is not fed until one is"
        )
        return [] if told else [events.plain(Kind.CANARY_FAILED, message)]

    def _impossible(self, error: str, due_ns: int) -> List[Event]:
        """No namespace, no proof, but no disproof either."""
        told = self._status is not None and self._status["error"] == error
        self._end(due_ns, error=error)
        message = f"canary: no namespace could be made ({error}); the guard goes on without"
        return [] if told else [events.plain(Kind.CANARY_FAILED, message)]

    def _end(
        self, due_ns: int, fixed_ns: Optional[int] = None, error: Optional[str] = None
    ) -> None:
        self._let_go()
        self._due_ns, self._failed = due_ns, False
        self._status = {
            "time": iso_time(int(time.time() * 1e9)),
            "fixed_usec": None if fixed_ns is None else fixed_ns // 1000,
            "error": error,
        }

    def _let_go(self) -> None:
        if self._made is not None:
            self._loop.forget(self._made.fileno())
            self._made.close()
            self._made = None
