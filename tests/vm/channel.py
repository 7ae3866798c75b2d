"""The host's end of the command channel; the guest's end is agent.py inside the image."""

import itertools
import socket
import struct
import threading
from concurrent.futures import Future
from typing import NamedTuple

# The formats of agent.py, whose docstring describes the fields.
REQUEST = struct.Struct("!III")
ANSWER = struct.Struct("!IIII")

READY_JOB = 0

# A guest that does not read must not block its test without end.
SEND_TIMEOUT_S = 60


class Answer(NamedTuple):
    """The result of a command: its status, as a shell counts it, and its streams."""

    status: int
    stdout: bytes
    stderr: bytes


class ChannelClosed(Exception):
    """The machine ended before it answered."""


class Channel:
    """Sends commands and returns each answer to its caller; several threads may use it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        timeout = struct.pack("ll", SEND_TIMEOUT_S, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self._numbers = itertools.count(READY_JOB + 1)
        self._sending = threading.Lock()
        self._waiting_lock = threading.Lock()
        self._waiting: dict[int, Future[Answer]] = {}
        self._open = True
        self.expect_ready()
        self._reader = threading.Thread(target=self._receive, name="vm-channel", daemon=True)
        self._reader.start()

    def expect_ready(self) -> None:
        """Set `ready` to a future of the agent's next start."""
        self.ready = self._expect(READY_JOB)

    def run(self, command: str, data: bytes = b"") -> tuple[int, Future[Answer]]:
        """Start a command; return its number, for kill(), and the future of its answer."""
        job = next(self._numbers)
        future = self._expect(job)
        self._send(job, command.encode(), data)
        return job, future

    def kill(self, job: int) -> None:
        """Kill a command with its whole session; its answer comes as usual."""
        self._send(job, b"", b"")

    def close(self) -> None:
        """Close the channel; each caller that waits gets ChannelClosed."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._connection.close()

    def _expect(self, job: int) -> Future[Answer]:
        with self._waiting_lock:
            if not self._open:
                raise ChannelClosed
            return self._waiting.setdefault(job, Future())

    def _send(self, job: int, command: bytes, data: bytes) -> None:
        request = REQUEST.pack(job, len(command), len(data)) + command + data
        with self._sending:
            try:
                self._connection.sendall(request)
            except OSError as error:
                raise ChannelClosed(str(error)) from error

    def _receive(self) -> None:
        with self._connection.makefile("rb") as stream:
            while len(header := stream.read(ANSWER.size)) == ANSWER.size:
                job, status, output_size, errors_size = ANSWER.unpack(header)
                answer = Answer(status, stream.read(output_size), stream.read(errors_size))
                self._waiting.pop(job).set_result(answer)
        with self._waiting_lock:
            self._open = False
        for future in self._waiting.values():
            future.set_exception(ChannelClosed())
