"""Runs jobs in a child process, which can hang without harm: it is killed, and forked anew.

The parent never waits for it. The child executes no other program; it holds no descriptor of the
parent's but the standard ones, and gives up the parent's priority.
"""

import contextlib
import mmap
import os
import pickle
import select
import signal
import socket
import struct
from typing import Any, Callable, List, NamedTuple, Optional

from ipvsd.kernel import libc

_LENGTH = struct.Struct("=Q")  # of the message that follows
_READ_BYTES = 256 * 1024
_STDERR = 2  # the last of the standard descriptors
_STEPS = struct.Struct("=Q")  # a word, which the processor writes as a whole


class Done(NamedTuple):
    """The end of a job: its result, or a sentence about the exception that it raised."""

    result: Any = None
    error: str = ""


class Progress:
    """Counts the steps of a job, in memory that parent and child share."""

    def __init__(self) -> None:
        """Map the memory. Raises OSError."""
        self._shared = mmap.mmap(-1, _STEPS.size)

    @property
    def steps(self) -> int:
        """How many steps have begun since the worker was created."""
        return int(_STEPS.unpack(self._shared)[0])

    def step(self) -> None:
        """Note that a step begins; each may take as long as the parent's patience lasts."""
        self._shared[:] = _STEPS.pack(self.steps + 1)

    def close(self) -> None:
        """Unmap the memory."""
        self._shared.close()


Work = Callable[[Any, Progress], Any]


class Worker:
    """One child process at a time, which does one job at a time."""

    def __init__(self, work: Work, name: str) -> None:
        """Take the function that does a job, in the child, and the child's name (15 bytes).

        The child is forked by the first submit(), and has the memory that the parent has then. The
        function's argument and result are pickled. Raises OSError.
        """
        self.progress = Progress()
        self.busy = False
        self.pid = 0  # of the child, 0 while there is none
        self._work = work
        self._name = name
        self._socket: Optional[socket.socket] = None
        self._received = bytearray()
        self._unsent = b""
        self._killed: List[int] = []  # children that have not ended yet

    def fileno(self) -> int:
        """Return the descriptor that is readable when take() has something, -1 without a child."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def sending(self) -> bool:
        """Whether a part of the request waits until the descriptor is writable; see send()."""
        return bool(self._unsent)

    def start(self) -> None:
        """Fork the child if there is none. Raises OSError."""
        if self._socket is not None:
            return
        ours, childs = socket.socketpair()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            childs.close()
            raise
        if pid == 0:
            try:
                _live(childs, self._work, self.progress, self._name, parent)
            finally:
                os._exit(1)
        childs.close()
        ours.setblocking(False)
        self.pid, self._socket = pid, ours

    def submit(self, request: Any) -> None:
        """Begin a job, only when not busy. Raises OSError."""
        self.start()
        self.progress.step()
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        self._unsent = _LENGTH.pack(len(data)) + data
        self.busy = True
        self.send()

    def send(self) -> None:
        """Send the request, or the rest of it, as far as the socket takes it."""
        assert self._socket is not None
        # A child that has ended: take() tells.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def take(self) -> Optional[Done]:
        """Return the end of the job, None when it has not ended."""
        if self._socket is None:
            return None
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while True:
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    return self._died()
                self._received += data
        end = _LENGTH.size
        if len(self._received) < end:
            return None
        end += _LENGTH.unpack_from(self._received)[0]
        if len(self._received) < end:
            return None
        done = Done(*pickle.loads(self._received[_LENGTH.size : end]))
        del self._received[:end]
        self.busy = False
        return done

    def wait(self, limit_s: float) -> Optional[Done]:
        """Wait for the end of the job: for commands, never for the daemon's loop.

        Return None when the child makes no progress for so long (seconds).
        """
        while True:
            before, done = self.progress.steps, self.take()
            if done is not None:
                return done
            writable = [self] if self.sending else []
            ready = select.select([self], writable, [], limit_s)
            if ready[1]:
                self.send()
            if not any(ready) and self.progress.steps == before:
                return None

    def kill(self) -> None:
        """End the child, whatever it does; the next submit() forks another one."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        os.kill(self.pid, signal.SIGKILL)
        self._killed.append(self.pid)
        self.pid, self.busy = 0, False
        self._received, self._unsent = bytearray(), b""
        self.reap()

    def reap(self) -> int:
        """Return how many killed children have not ended, since the kernel does not let them."""
        self._killed = [pid for pid in self._killed if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        return len(self._killed)

    def close(self) -> None:
        """End the child, and unmap the memory."""
        self.kill()
        self.progress.close()

    def _died(self) -> Done:
        """Return the end of the job of a child that has ended by itself, or was killed."""
        pid = self.pid
        self.kill()
        return Done(error=f"its process {self._name} ({pid}) has ended")


def _live(end: socket.socket, work: Work, progress: Progress, name: str, parent: int) -> None:
    """Do jobs until the parent closes its end of the socket, or ends."""
    # A service manager signals all processes of a service; the parent decides what that means.
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    libc.end_with_parent()
    libc.name_thread(name)
    if os.getppid() != parent:
        return
    _close_all_but(end.fileno())
    give_up_priority()
    while True:
        request = _receive(end)
        if request is None:
            return
        try:
            reply = (work(pickle.loads(request), progress), "")
        except Exception as error:
            reply = (None, _sentence(error))
        data = pickle.dumps(reply, pickle.HIGHEST_PROTOCOL)
        end.sendall(_LENGTH.pack(len(data)) + data)


def give_up_priority() -> None:
    """Give up the priority of the calling process: the daemon's is for its loop.

    A process that cannot give it up does no harm.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)


def _receive(end: socket.socket) -> Optional[bytearray]:
    """Return the next request, None when the parent wants no more."""
    head = _read(end, _LENGTH.size)
    return None if head is None else _read(end, _LENGTH.unpack(head)[0])


def _read(end: socket.socket, size: int) -> Optional[bytearray]:
    data = bytearray()
    while len(data) < size:
        piece = end.recv(min(size - len(data), _READ_BYTES))
        if not piece:
            return None
        data += piece
    return data


def _close_all_but(kept: int) -> None:
    """Close what the parent has open: a copy would keep it in use when the parent closes it."""
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > _STDERR and number != kept:
            with contextlib.suppress(OSError):  # that of the listing, which is closed already
                os.close(number)


def _sentence(error: Exception) -> str:
    """Return what an exception says, and where it was raised."""
    where, trace = "", error.__traceback__
    while trace is not None:
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{error!r} at {where}"
