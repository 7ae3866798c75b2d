"""Enters network namespaces, in the only thread that calls setns(2).

The main thread never leaves its namespace, and no child process is created. Nothing is held open
longer than a visit lasts: the thread closes each namespace at once, and returns to its own
namespace after each job.
"""

import contextlib
import fcntl
import os
import queue
import select
import threading
import time
from typing import Any, Callable, Iterable, NamedTuple, Optional, TypeVar

from ipvsd.kernel import libc
from ipvsd.model import Exit, GuardError, Identity

_NS_GET_USERNS = 0xB701  # linux/nsfs.h: _IO(0xb7, 0x1)
# Here _IOC_NONE is 1 and not 0 (arch/*/include/uapi/asm/ioctl.h), as uname(2) names the machines.
_IOC_NONE_IS_1 = ("alpha", "mips", "ppc", "sparc", "sw_64")
_IOC_DIRSHIFT = 29  # there
_OWN = "/proc/self/ns/net"  # of the main thread, whichever thread reads it
_THREADS = "/proc/thread-self/ns/net"

# How long close() waits for a job that is still running.
_LAST_JOB_S = 1.0
# A command's job takes seconds; with ten thousand namespaces it takes a minute.
CALL_LIMIT_S = 180.0

Result = TypeVar("Result")


class Gone(Exception):
    """No path leads into the namespace any more: the normal end of a namespace."""


class Done(NamedTuple):
    """The end of a job: its result, or the exception that it raised."""

    result: Any = None
    error: Optional[Exception] = None


def give_up_priority() -> None:
    """Give up the priority of the calling thread: the daemon's is for its loop.

    A thread that cannot give it up does no harm.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # of this thread alone, on Linux


def enter(paths: Iterable[str], identity: Identity, visit: Callable[[], Result]) -> Result:
    """Enter a namespace, by the first path that still leads to it, and return `visit()`.

    Only for jobs of a NamespaceWorker: the calling thread stays in the namespace until its next
    enter() or the end of the job. Raises Gone, or OSError when a path leads to the namespace but
    it cannot be entered.
    """
    descriptor = _open_any(paths, identity)
    try:
        libc.setns(descriptor, libc.CLONE_NEWNET)
    finally:
        # At once: while the descriptor is open, the mount that it was opened through is busy.
        os.close(descriptor)
    return visit()


def owned_elsewhere() -> bool:
    """Return whether another user namespace than the thread's owns its network namespace.

    See ioctl_ns(2).
    """
    try:
        descriptor = os.open(_THREADS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            owner = fcntl.ioctl(descriptor, ns_get_userns(os.uname().machine))
        finally:
            os.close(descriptor)
    except PermissionError:
        return True  # the owner is a user namespace that the caller may not even see
    except OSError:
        return False  # the kernel has no user namespaces
    try:
        return not os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
    finally:
        os.close(owner)


def ns_get_userns(machine: str) -> int:
    """Return the number of the request NS_GET_USERNS on an architecture."""
    return _NS_GET_USERNS | (machine.startswith(_IOC_NONE_IS_1) << _IOC_DIRSHIFT)


def _open_any(paths: Iterable[str], identity: Identity) -> int:
    error: Optional[OSError] = None
    for path in paths:
        try:
            descriptor = _open(path, identity)
        except OSError as caught:
            if not isinstance(caught, (FileNotFoundError, ProcessLookupError, NotADirectoryError)):
                error = caught
            continue
        if descriptor is not None:
            return descriptor
    if error is not None:
        raise error
    raise Gone


def _open(path: str, identity: Identity) -> Optional[int]:
    """Return a descriptor of the namespace, None when the path leads to something else.

    A hostile user may choose what the path leads to: a FIFO, a device, another file. So the path is
    first opened with O_PATH, which does nothing to the file, and opened for reading only when the
    file has proved to be the namespace that is meant.
    """
    pointer = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(pointer)
        if (status.st_dev, status.st_ino) != identity:
            return None
        return os.open(f"/proc/self/fd/{pointer}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(pointer)


class NamespaceWorker:
    """A thread that does one job at a time, in other namespaces if the job enters them."""

    def __init__(self) -> None:
        """Create the pipe and the queues; the thread starts with the first job. Raises OSError."""
        self._done_reader, self._done_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._home = -1
        self._thread: Optional[threading.Thread] = None
        self._jobs: queue.Queue[Optional[Callable[[], Any]]] = queue.Queue()
        self._results: queue.Queue[Done] = queue.Queue()
        self.busy = False

    def fileno(self) -> int:
        """Return the descriptor that is readable when a job is done."""
        return self._done_reader

    def submit(self, job: Callable[[], Any]) -> None:
        """Begin a job, in the guard's own namespace; only when not busy. Raises OSError."""
        if self._thread is None or not self._thread.is_alive():
            self._start_thread()
        self.busy = True
        self._jobs.put(job)

    def take(self) -> Optional[Done]:
        """Return the end of the job, None when it has not ended."""
        try:
            os.read(self._done_reader, 1)
            done = self._results.get_nowait()
        except (BlockingIOError, queue.Empty):
            return None
        self.busy = False
        return done

    def call(self, job: Callable[[], Result]) -> Result:
        """Do a job and wait for its end: for commands, never for the daemon's loop.

        Raises what the job raises, and GuardError when it hangs.
        """
        self.submit(job)
        until_s, done = time.monotonic() + CALL_LIMIT_S, None
        while done is None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                message = (
                    "namespaces: reading them hangs, since a file system on the path to one does "
                    "not answer; check the NFS and FUSE mounts"
                )
                raise GuardError(message, Exit.CANNOT_TELL)
            select.select([self._done_reader], [], [], left_s)
            done = self.take()
        if done.error is not None:
            raise done.error
        result: Result = done.result
        return result

    def replace(self) -> None:
        """Give up a job that hangs, and its thread, which ends by itself if the kernel lets it."""
        self._jobs.put(None)
        self._thread = None
        # New queues, so that a late result of the old thread is ignored.
        self._jobs, self._results = queue.Queue(), queue.Queue()
        self.busy = False

    def close(self) -> None:
        """End the thread, and close the descriptors when it has ended."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(_LAST_JOB_S)
            if self._thread.is_alive():
                return  # the thread still needs the descriptors, or hangs; the process ends soon
        for descriptor in (self._home, self._done_reader, self._done_writer):
            if descriptor >= 0:
                os.close(descriptor)

    def _start_thread(self) -> None:
        if self._home < 0:
            self._home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        arguments = (self._jobs, self._results)
        thread = threading.Thread(target=self._work, args=arguments, daemon=True)
        thread.start()
        self._thread = thread

    def _work(
        self, jobs: "queue.Queue[Optional[Callable[[], Any]]]", results: "queue.Queue[Done]"
    ) -> None:
        give_up_priority()
        at_home = True
        while at_home:
            job = jobs.get()
            if job is None:
                return
            try:
                done = Done(job())
            except Exception as error:
                done = Done(error=error)
            try:
                self._go_home()
            except OSError as error:
                at_home, done = False, Done(error=error)  # the thread must end
            results.put(done)
            if results is self._results:
                os.write(self._done_writer, b"x")

    def _go_home(self) -> None:
        """Return to the guard's own namespace, if another one was entered.

        Without privileges the thread entered none, and setns(2) would fail.
        """
        if not os.path.samestat(os.stat(_THREADS), os.fstat(self._home)):
            libc.setns(self._home, libc.CLONE_NEWNET)
