"""The canary: a throw-away namespace that the guard creates, to prove that it sets new ones.

A child process creates it and is in it; the namespace ends with the process.
"""

import time
from typing import Any, Callable, Dict, List, Optional

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.kernel.netns_create import Born, Failed, create
from ipvsd.model import (
    CANARY_NAME,
    CANARY_PROCESS,
    NS_PER_S,
    RIGHT,
    Found,
    Identity,
    NamespaceResult,
    Reading,
)
from ipvsd.system.event_loop import Loop
from ipvsd.system.worker import Worker
from ipvsd.text import error_text, format_duration, iso_time

# Five periods of estimation. A value that is set later protects nobody.
LIMIT_NS = 10 * NS_PER_S
RETRY_NS = 30 * NS_PER_S


class Canary:
    """Creates one namespace at a time, waits until the guard has set its value, and drops it."""

    def __init__(self, loop: Loop, read: Callable[[], Reading]) -> None:
        """Take the function that reads run_estimation in the namespace of the calling process."""
        self._loop = loop
        self._worker = Worker(lambda _request, _progress: create(read), CANARY_PROCESS)
        self._last_pid = 0
        self._born: Optional[Born] = None
        self._result: Optional[NamespaceResult] = None
        # The last call of proceed() has learned of a birth, which the kernel has reported before.
        # A namespace without ip_vs, which was removed meanwhile, is none: no probe reports it.
        self.newborn = False
        self.set = False  # the last canary was set in time; False while there is another one
        self._began_ns: Optional[int] = None  # None: there is none
        self._ended_ns: Optional[int] = None  # None: the next one is due at once
        self.failed = False  # the last canary was not set in time
        self.status: Optional[Dict[str, Any]] = None  # the last result as plain data
        self.identity: Optional[Identity] = None  # from its birth on, until it ends
        loop.follow(self._worker)

    @property
    def exists(self) -> bool:
        """Whether there is a canary that has not been judged."""
        return self._began_ns is not None

    @property
    def pid(self) -> int:
        """The process that creates the canary and is in it, 0 if there is none."""
        return self._worker.pid

    def deadline_ns(self, period_ns: int) -> int:
        """Return when to call proceed() if nothing happens."""
        if self._began_ns is not None:
            return self._began_ns + LIMIT_NS
        if self._ended_ns is None:
            return 0
        return self._ended_ns + (min(RETRY_NS, period_ns) if self.failed else period_ns)

    def proceed(self, period_ns: int, now_ns: int) -> List[Event]:
        """Create a canary if one is due, or judge the one that exists; return the events.

        `period_ns` is the time between two canaries, as the configuration wants it now.
        """
        self.newborn = False
        if not self.exists:
            return self._begin(now_ns) if now_ns >= self.deadline_ns(period_ns) else []
        done = self._worker.take()
        if done is not None and done.error:
            return self._impossible(done.error, now_ns)
        if done is not None and isinstance(done.result, Failed):
            return self._impossible(done.result.error, now_ns)
        if done is not None:
            self._born, self.identity = done.result, done.result.identity
            self.newborn = done.result.reading.found is not Found.NO_TREE
        if self._born is not None and _is_set(self._born, self._result):
            return self._succeed(self._born, now_ns)
        return self._fail(now_ns) if now_ns >= self.deadline_ns(period_ns) else []

    def see(self, result: NamespaceResult) -> bool:
        """Take the result of a visit; return whether it is of the canary.

        The canary can have been visited before its birth is known here, and shortly after its end.
        """
        namespace = result.namespace
        named = namespace.name == CANARY_NAME and namespace.owner.pid == self._last_pid
        if not named and namespace.identity != self.identity:
            return False
        self._result = result
        return True

    def interrupt(self) -> None:
        """Drop the canary, since no value can be set now; the next one is created later."""
        if self.exists:
            self._let_go()
            self._ended_ns = None

    def forget(self) -> None:
        """Drop the canary and its last result: the configuration wants none."""
        self.interrupt()
        self._ended_ns, self.failed, self.status, self.set = None, False, None, False

    def close(self) -> None:
        """Give everything back."""
        self._let_go()
        self._loop.unfollow(self._worker)
        self._worker.close()

    def _begin(self, now_ns: int) -> List[Event]:
        self._result = self._born = None
        self._began_ns, self.set = now_ns, False
        try:
            self._worker.submit(None)
        except OSError as error:  # no descriptors, no processes
            return self._impossible(error_text(error), now_ns)
        self._last_pid = self._worker.pid
        return []

    def _succeed(self, born: Born, now_ns: int) -> List[Event]:
        assert self._result is not None
        written = [o.written_ns for o in self._result.outcomes if o.write.key == RUN_ESTIMATION]
        until_ns = written[0] if written and written[0] is not None else self._result.now_ns
        took_ns = max(0, until_ns - born.born_ns)
        is_new = self.status is None or self.failed
        self._end(now_ns, fixed_ns=took_ns)
        self.set = True
        if not is_new:
            return []
        done = "set" if self._result.outcomes else "found as wanted"
        message = (
            f"canary: a new namespace read {born.reading.value or 'nothing'} and was {done} by the "
            f"guard {format_duration(took_ns)} after its birth"
        )
        return [events.plain(Kind.CANARY_SET, message)]

    def _fail(self, now_ns: int) -> List[Event]:
        logged = self.failed
        self._end(now_ns, error="not set in time")
        self.failed = True
        message = (
            f"canary: a new namespace was not set within {format_duration(LIMIT_NS)}; the guard "
            "goes on, scans each second and tries again; namespaces that are new may have a wrong "
            "value until then, see `ipvsd status`"
        )
        return [] if logged else [events.plain(Kind.CANARY_FAILED, message)]

    def _impossible(self, error: str, now_ns: int) -> List[Event]:
        """End without a result: no namespace could be created."""
        logged = self.status is not None and self.status["error"] == error
        self._end(now_ns, error=error)
        message = f"canary: no namespace could be created ({error}); the guard continues without it"
        return [] if logged else [events.plain(Kind.CANARY_FAILED, message)]

    def _end(
        self, now_ns: int, fixed_ns: Optional[int] = None, error: Optional[str] = None
    ) -> None:
        self._let_go()
        self._ended_ns, self.failed = now_ns, False
        self.status = {
            "time": iso_time(int(time.time() * 1e9)),
            "fixed_usec": None if fixed_ns is None else fixed_ns // 1000,
            "error": error,
        }

    def _let_go(self) -> None:
        """End the process, without waiting for its end."""
        self._worker.kill()
        self._began_ns = self.identity = None


def _is_set(born: Born, result: Optional[NamespaceResult]) -> bool:
    """Return whether a visit has found the throw-away namespace as wanted."""
    if result is None or result.namespace.identity != born.identity:
        return False
    states = [key.state for key in result.keys if key.setting.key == RUN_ESTIMATION]
    return len(states) == 1 and states[0] in RIGHT
