"""Waits for descriptors, signals and one deadline."""

import os
import select
import time
from types import FrameType
from typing import TYPE_CHECKING, Iterable, List, NamedTuple, Optional, Set

if TYPE_CHECKING:  # most commands need only monotonic_ns()
    from ipvsd.system.worker import Worker


def monotonic_ns() -> int:
    """Return CLOCK_MONOTONIC in nanoseconds (time.monotonic_ns is Python 3.7)."""
    return int(time.monotonic() * 1e9)


class Woken(NamedTuple):
    """The end of a wait: ready descriptors and signals; both are empty after the deadline."""

    descriptors: Set[int]
    signals: Set[int]


class Loop:
    """Waits on all sources at once; signals arrive as data and never interrupt the work."""

    def __init__(self, signals: Iterable[int]) -> None:
        import signal  # most commands need only monotonic_ns()
        import socket

        self._workers: List[Worker] = []
        self._epoll = select.epoll()
        self._signals_in, signals_out = socket.socketpair()
        self._signals_out = signals_out
        for end in (self._signals_in, signals_out):
            end.setblocking(False)
        self.watch(self._signals_in.fileno())
        signal.set_wakeup_fd(signals_out.fileno())
        # Python writes to the wake-up descriptor only if the signal has a Python handler.
        self._handlers = {number: signal.signal(number, _ignore) for number in signals}

    @classmethod
    def of_command(cls) -> "Loop":
        """Return the loop of a command, for wait_on()."""
        import signal

        return cls((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

    def watch(self, descriptor: int, urgent: bool = False) -> None:
        """Add a descriptor to wait on until it is readable, or, if `urgent`, has POLLPRI."""
        self._epoll.register(descriptor, select.EPOLLPRI if urgent else select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Remove a descriptor from the wait; has to be called before it is closed."""
        self._epoll.unregister(descriptor)

    def follow(self, worker: "Worker") -> None:
        """Wait on a worker too, whichever child it has; the caller calls take()."""
        self._workers.append(worker)
        self.watch(worker.fileno())

    def unfollow(self, worker: "Worker") -> None:
        """Wait on a worker no longer; has to be called before it is closed."""
        self._workers.remove(worker)
        self.forget(worker.fileno())

    @property
    def own_pids(self) -> Set[int]:
        """The pids of this process and of the workers that the loop follows."""
        return {os.getpid(), *(worker.pid for worker in self._workers if worker.pid)}

    def wait(self, deadline_ns: int, pause_end_ns: int = 0) -> Woken:
        """Wait until a descriptor is ready, a signal has come, or the deadline has passed.

        Until the end of a pause, only a signal ends the wait.
        """
        for worker in self._workers:
            worker.reap()
        now_ns = monotonic_ns()
        if now_ns < pause_end_ns:
            select.select([self._signals_in], [], [], (pause_end_ns - now_ns) / 1e9)
            now_ns = monotonic_ns()
        left_s = max(0.0, (deadline_ns - now_ns) / 1e9)
        ready = {descriptor for descriptor, _ in self._epoll.poll(left_s)}
        signals: Set[int] = set()
        if self._signals_in.fileno() in ready:
            ready.discard(self._signals_in.fileno())
            signals.update(self._signals_in.recv(4096))
        return Woken(ready, signals)

    def wait_on(self, deadline_ns: int) -> None:
        """Wait until a descriptor is ready or the deadline has passed.

        Raises SystemExit when a signal has come, so that what is set up is taken down.
        """
        signals = self.wait(deadline_ns).signals
        if signals:
            raise SystemExit(128 + min(signals))

    def close(self) -> None:
        """Close all descriptors of the loop, and restore the signal handlers."""
        import signal

        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._epoll.close()
        self._signals_in.close()
        self._signals_out.close()


def _ignore(_number: int, _frame: Optional[FrameType]) -> None:
    pass
