"""A network namespace made to be looked at and thrown away."""

import contextlib
import os
import queue
import threading
import time
from typing import Callable, NamedTuple, Optional, Union

from ipvsd.kernel import libc
from ipvsd.model import Identity, Reading

_OWN = "/proc/thread-self/ns/net"

_END_S = 1.0


class Born(NamedTuple):
    """The namespace is there: its identity, when it came (monotonic), and what it reads."""

    identity: Identity
    born_ns: int
    reading: Reading


class Failed(NamedTuple):
    """It could not be made."""

    error: str


News = Union[Born, Failed]


class TemporaryNamespace:
    """A new namespace that one thread of the guard makes and is the only one to be in.

    It goes when the thread does: nothing else holds it, and nothing of it is left.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        """Begin to make it; `read` is called in it. Raises OSError or RuntimeError."""
        self._done_reader, self._done_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._new_events: queue.Queue[News] = queue.Queue()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(read,), daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there are too many threads
            os.close(self._done_reader)
            os.close(self._done_writer)
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when take() has something."""
        return self._done_reader

    def take(self) -> Optional[News]:
        """Return Born or Failed, None when there is nothing new."""
        try:
            os.read(self._done_reader, 1)
            return self._new_events.get_nowait()
        except (BlockingIOError, queue.Empty):
            return None

    def close(self) -> None:
        """Let the namespace go, and wait until the thread has ended, but not for long.

        Where the kernel keeps it from being born, as while a module is registered in thousands of
        others, the thread ends when it may.
        """
        self._end.set()
        self._thread.join(_END_S)
        os.close(self._done_reader)

    def _live(self, read: Callable[[], Reading]) -> None:
        try:
            self._be_born(read)
            self._end.wait()
        finally:
            os.close(self._done_writer)  # the thread's own, since close() may not wait for it

    def _be_born(self, read: Callable[[], Reading]) -> None:
        try:
            libc.unshare(libc.CLONE_NEWNET)
            born_ns = int(time.monotonic() * 1e9)
            status = os.stat(_OWN)
            self._tell(Born((status.st_dev, status.st_ino), born_ns, read()))
        except OSError as error:
            self._tell(Failed(str(error.strerror)))

    def _tell(self, new_events: News) -> None:
        self._new_events.put(new_events)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(self._done_writer, b"x")
