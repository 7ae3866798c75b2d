"""Runs jobs in a child process, which can hang without harm: it is killed, and forked anew.

The parent never waits for it. The child executes no other program; it holds no descriptor of the
parent's, except stderr where the worker says so, and gives up the parent's priority.
"""

import contextlib
import os
import select
import struct
from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Optional, Tuple

from ipvsd.kernel import libc
from ipvsd.system.progress import Progress

if TYPE_CHECKING:
    import socket  # like others imported at the first use: few commands enter a namespace

_LENGTH = struct.Struct("=Q")  # of the message that follows
_READ_BYTES = 256 * 1024
_STDERR = 2  # the last of the standard streams


class Done(NamedTuple):
    """The end of a job: its result, or a sentence about the exception that it raised."""

    result: Any = None
    error: str = ""
    died: bool = False  # the child has ended in it


Work = Callable[[Any, Progress], Any]


class Worker:
    """One child process at a time, which does one job at a time."""

    def __init__(self, work: Work, name: str, keeps_stderr: bool = False) -> None:
        """Take the function that does a job, in the child, and the child's name (15 bytes).

        Only a child that `keeps_stderr` has any of the standard streams. The child is forked by the
        first submit(), and has the memory that the parent has then. The function's argument and
        result are pickled. Raises OSError.
        """
        self.progress = Progress()
        self.busy = False
        self.pid = 0  # of the child, 0 while there is none
        self._work = work
        self._name = name
        self._kept = _STDERR if keeps_stderr else -1
        self._socket: Optional[socket.socket] = None
        self._epoll = select.epoll()  # keeps its descriptor when there is another child
        self._received = bytearray()
        self._unsent = b""  # of the request, until the socket takes it
        self._killed: List[int] = []  # children that have not ended yet

    def fileno(self) -> int:
        """Return the descriptor that is readable when take() should be called."""
        return self._epoll.fileno()

    @property
    def sending(self) -> bool:
        """Whether a part of the request waits until the socket takes it."""
        return bool(self._unsent)

    def start(self) -> None:
        """Fork the child if there is none. Raises OSError."""
        if self._socket is not None:
            return
        import socket

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
                _leave(childs.fileno(), self._kept)
                _live(childs, self._work, self.progress, self._name, parent)
            finally:
                os._exit(1)
        childs.close()
        ours.setblocking(False)
        self.pid, self._socket = pid, ours
        self._epoll.register(ours, select.EPOLLIN)

    def submit(self, request: Any) -> None:
        """Begin a job, only when not busy. Raises OSError."""
        import pickle

        self.start()
        self.progress.step(0, "")
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        self._unsent = _LENGTH.pack(len(data)) + data
        self.busy = True
        self._send()

    def _send(self) -> None:
        """Send the request, or the rest of it, as far as the socket takes it."""
        assert self._socket is not None
        # A child that has ended: take() tells.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        more = select.EPOLLOUT if self._unsent else 0
        self._epoll.modify(self._socket, select.EPOLLIN | more)

    def take(self) -> Optional[Done]:
        """Return the end of the job, None when it has not ended."""
        import pickle

        if self._socket is None:
            return None
        if self._unsent:
            self._send()
        data = b"unknown yet"
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while data:
                data = self._socket.recv(_READ_BYTES)
                self._received += data
        begin, end = _LENGTH.size, self._received_end()
        if end is not None:  # perhaps the last words of a child that has ended
            done = Done(*pickle.loads(self._received[begin:end]))
            del self._received[:end]
            self.busy = False
            return done
        return None if data else self._died()

    def _received_end(self) -> Optional[int]:
        """Return where the message ends that was received, None if it is not complete."""
        begin = _LENGTH.size
        if len(self._received) < begin:
            return None
        end: int = begin + _LENGTH.unpack_from(self._received)[0]
        return end if end <= len(self._received) else None

    def wait(self, limit_s: float) -> Optional[Done]:
        """Wait for the end of the job: for commands, never for the daemon's loop.

        Return None when the child makes no progress for so long (seconds).
        """
        while True:
            before, done = self.progress.steps, self.take()
            if done is not None:
                return done
            ready, _, _ = select.select([self], [], [], limit_s)
            if not ready and self.progress.steps == before:
                return None

    def kill(self) -> None:
        """End the child, whatever it does; the next submit() forks another one."""
        import signal

        if self._socket is None:
            return
        self._epoll.unregister(self._socket)
        self._socket.close()
        self._socket = None
        # AppArmor's default profile for containers forbids any signal: what does not hang ends
        # since its socket is closed.
        with contextlib.suppress(PermissionError):
            os.kill(self.pid, signal.SIGKILL)
        self._killed.append(self.pid)
        self.pid, self.busy = 0, False
        self._received, self._unsent = bytearray(), b""
        self.reap()

    def state(self) -> str:
        """Return the state of the child in the kernel's letter (proc(5), stat), empty without one.

        R is running or waiting for a CPU, T stopped; D and S sleep until something happens.
        """
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0].decode("ascii")
        except OSError:
            return ""

    @property
    def killed(self) -> Tuple[int, ...]:
        """The killed children that had not ended at the last reap()."""
        return tuple(self._killed)

    def reap(self) -> int:
        """Return how many killed children have not ended, since the kernel does not let them."""
        self._killed = [pid for pid in self._killed if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        return len(self._killed)

    def close(self) -> None:
        """End the child, and unmap the memory."""
        self.kill()
        self.progress.close()
        self._epoll.close()

    def _died(self) -> Done:
        """Return the end of the job of a child that has ended by itself, or was killed."""
        pid = self.pid
        self.kill()
        return Done(error=f"the process {self._name} ({pid}) has ended", died=True)


def _live(end: "socket.socket", work: Work, progress: Progress, name: str, parent: int) -> None:
    """Do jobs until the parent closes its end of the socket, or ends."""
    import pickle
    import signal

    # A service manager signals all processes of a service; the parent decides what that means.
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    libc.end_with_parent()
    libc.name_thread(name)
    if os.getppid() != parent:
        return
    give_up_priority()
    while True:
        request = _receive(end)
        if request is None:
            return
        ends = False
        try:
            reply = work(pickle.loads(request), progress), ""
            data = pickle.dumps(reply, pickle.HIGHEST_PROTOCOL)
        except BaseException as error:  # also SystemExit: why the process ends is said first
            ends = not isinstance(error, Exception)
            data = pickle.dumps((None, _sentence(error)), pickle.HIGHEST_PROTOCOL)
        end.sendall(_LENGTH.pack(len(data)) + data)
        if ends:
            return


def give_up_priority() -> None:
    """Give up the priority of the calling process: the daemon's is for its loop.

    A process that cannot give it up does no harm.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)


def _receive(end: "socket.socket") -> Optional[bytearray]:
    """Return the next request, None when the parent wants no more."""
    head = _read(end, _LENGTH.size)
    return None if head is None else _read(end, _LENGTH.unpack(head)[0])


def _read(end: "socket.socket", size: int) -> Optional[bytearray]:
    data = bytearray()
    while len(data) < size:
        piece = end.recv(min(size - len(data), _READ_BYTES))
        if not piece:
            return None
        data += piece
    return data


def _leave(end: int, stream: int) -> None:
    """Close what the parent has open, but for two descriptors.

    A copy would keep it in use when the parent closes it: a pipe, as long as the child hangs.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number <= _STDERR and number != stream:
            os.dup2(nothing, number)
        elif number > _STDERR and number != end:
            with contextlib.suppress(OSError):  # that of the listing, which is closed already
                os.close(number)


def _sentence(error: BaseException) -> str:
    """Return what an exception says, and where it was raised."""
    where, trace = "", error.__traceback__
    while trace is not None:
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{error!r} at {where}"
