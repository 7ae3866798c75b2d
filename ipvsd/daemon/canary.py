"""The canary: a throw-away namespace that the guard creates, to prove that it sets new ones."""

import os
import time
from typing import Any, Callable, Dict, List, Optional

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.kernel.netns_create import Born, Failed, TemporaryNamespace
from ipvsd.model import CANARY_NAME, NS_PER_S, NamespaceResult, Reading, State
from ipvsd.system.event_loop import Loop
from ipvsd.text import format_duration, iso_time

# Five periods of estimation. A value that is set later protects nobody.
LIMIT_NS = 10 * NS_PER_S
RETRY_NS = 30 * NS_PER_S


class Canary:
    """Creates one namespace at a time, waits until the guard has set its value, and drops it."""

    def __init__(self, loop: Loop, read: Callable[[], Reading]) -> None:
        """Take the function that reads run_estimation in the namespace of the calling thread."""
        self._loop = loop
        self._read = read
        self._made: Optional[TemporaryNamespace] = None
        self._born: Optional[Born] = None
        self._result: Optional[NamespaceResult] = None
        self._began_ns = 0
        self._due_ns = 0
        self._failed = False
        self._status: Optional[Dict[str, Any]] = None

    @property
    def proven(self) -> bool:
        """Whether the last canary was set or could not be created; False before the first."""
        return self._status is not None and not self._failed

    @property
    def failed(self) -> bool:
        """Whether the last canary was not set in time."""
        return self._failed

    @property
    def status(self) -> Optional[Dict[str, Any]]:
        """Return the last result as plain data, None if there was none."""
        return self._status

    def deadline_ns(self) -> int:
        """Return when to call proceed() if nothing happens."""
        return self._began_ns + LIMIT_NS if self._made is not None else self._due_ns

    def proceed(self, period_ns: int, now_ns: int) -> List[Event]:
        """Create a canary if one is due, or judge the one that exists; return the events."""
        if self._made is None:
            return self._begin(period_ns, now_ns) if now_ns >= self._due_ns else []
        reply = self._made.take()
        if isinstance(reply, Failed):
            return self._impossible(reply.error, now_ns + period_ns)
        self._born = reply if reply is not None else self._born
        if self._born is not None and _is_set(self._born, self._result):
            return self._succeed(self._born, now_ns + period_ns)
        if now_ns >= self._began_ns + LIMIT_NS:
            return self._fail(now_ns + RETRY_NS)
        return []

    def see(self, result: NamespaceResult) -> None:
        """Take the result of a visit to the canary."""
        self._result = result

    def interrupt(self) -> None:
        """Drop the canary, since no value can be set now; the next one is created later."""
        if self._made is not None:
            self._let_go()
            self._due_ns = 0

    def forget(self) -> None:
        """Drop the canary and its last result: the configuration wants none."""
        self.interrupt()
        self._due_ns, self._failed, self._status = 0, False, None

    def _begin(self, period_ns: int, now_ns: int) -> List[Event]:
        self._result = self._born = None
        self._began_ns = now_ns
        try:
            self._made = TemporaryNamespace(self._read)
        except (OSError, RuntimeError) as error:  # no descriptors, no threads
            return self._impossible(str(error), now_ns + period_ns)
        self._loop.watch(self._made.fileno())
        return []

    def _succeed(self, born: Born, due_ns: int) -> List[Event]:
        assert self._result is not None
        written = [o.written_ns for o in self._result.outcomes if o.write.key == RUN_ESTIMATION]
        until_ns = written[0] if written and written[0] is not None else self._result.now_ns
        took_ns = max(0, until_ns - born.born_ns)
        is_new = self._status is None or self._failed
        self._end(due_ns, fixed_ns=took_ns)
        if not is_new:
            return []
        message = (
            f"canary: a new namespace read {born.reading.value or 'nothing'} and was set by the "
            f"guard {format_duration(took_ns)} after its birth"
        )
        return [events.plain(Kind.CANARY_SET, message)]

    def _fail(self, due_ns: int) -> List[Event]:
        logged = self._failed
        self._end(due_ns, error="not set in time")
        self._failed = True
        message = (
            f"canary: a new namespace was not set within {format_duration(LIMIT_NS)}; systemd's "
            "watchdog is not fed until one is"
        )
        return [] if logged else [events.plain(Kind.CANARY_FAILED, message)]

    def _impossible(self, error: str, due_ns: int) -> List[Event]:
        """End without a result: no namespace could be created."""
        logged = self._status is not None and self._status["error"] == error
        self._end(due_ns, error=error)
        message = f"canary: no namespace could be created ({error}); the guard continues without it"
        return [] if logged else [events.plain(Kind.CANARY_FAILED, message)]

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


def _is_set(born: Born, result: Optional[NamespaceResult]) -> bool:
    """Return whether a visit has found the throw-away namespace as wanted."""
    if result is None or result.namespace.identity != born.identity:
        return False
    states = [key.state for key in result.keys if key.setting.key == RUN_ESTIMATION]
    return states == [State.AS_WANTED]


def is_canary(result: NamespaceResult) -> bool:
    """Return whether a result is of the canary, and not of a namespace with the same name."""
    namespace = result.namespace
    return namespace.name == CANARY_NAME and namespace.owner.pid == os.getpid()
