"""Creates a temporary network namespace, in a thread of its own, and removes it."""

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
    """The namespace exists."""

    identity: Identity
    born_ns: int  # monotonic
    reading: Reading  # what `read` returned in it


class Failed(NamedTuple):
    """The namespace could not be created."""

    error: str


BirthResult = Union[Born, Failed]


class TemporaryNamespace:
    """A new namespace that one thread of the guard creates, and that only this thread is in.

    The namespace ends when the thread ends: nothing else holds it.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        """Begin to create the namespace, in which the thread then calls `read`.

        Raises OSError or RuntimeError.
        """
        self._done_reader, self._done_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._results: queue.Queue[BirthResult] = queue.Queue()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(read,), daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # too many threads
            os.close(self._done_reader)
            os.close(self._done_writer)
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when take() has a result."""
        return self._done_reader

    def take(self) -> Optional[BirthResult]:
        """Return Born or Failed, None when there is no result yet."""
        try:
            os.read(self._done_reader, 1)
            return self._results.get_nowait()
        except (BlockingIOError, queue.Empty):
            return None

    def close(self) -> None:
        """End the thread and with it the namespace; wait for this at most one second.

        While the kernel registers a module in thousands of namespaces, no new one can be created:
        the thread then hangs in unshare(2), and ends when the kernel has finished.
        """
        self._end.set()
        self._thread.join(_END_S)
        os.close(self._done_reader)

    def _live(self, read: Callable[[], Reading]) -> None:
        try:
            self._be_born(read)
            self._end.wait()
        finally:
            os.close(self._done_writer)  # here and not in close(), which may not wait so long

    def _be_born(self, read: Callable[[], Reading]) -> None:
        try:
            libc.unshare(libc.CLONE_NEWNET)
            born_ns = int(time.monotonic() * 1e9)
            status = os.stat(_OWN)
            self._report(Born((status.st_dev, status.st_ino), born_ns, read()))
        except OSError as error:
            self._report(Failed(str(error.strerror)))

    def _report(self, result: BirthResult) -> None:
        self._results.put(result)
        with contextlib.suppress(BrokenPipeError):  # close() has closed the other end
            os.write(self._done_writer, b"x")
