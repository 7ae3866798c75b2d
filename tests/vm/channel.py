"""The host's end of the command channel; the guest's end is agent.py inside the image."""

import itertools
import socket
import struct
import threading
from concurrent.futures import Future
from typing import NamedTuple

# The formats of agent.py; its head says what the fields are.
REQUEST = struct.Struct("!III")
ANSWER = struct.Struct("!IIII")

READY_JOB = 0

# A guest that has stopped reading must not block its test for ever.
SEND_TIMEOUT_S = 60


class Answer(NamedTuple):
    """What a command left behind: its status as a shell counts it, and its streams."""

    status: int
    stdout: bytes
    stderr: bytes


class ChannelClosed(Exception):
    """The machine went away before it answered."""


class Channel:
    """Sends commands and hands each answer to whom it belongs; safe to use from several threads."""

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
        """Have `ready` stand for the agent's next start."""
        self.ready = self._expect(READY_JOB)

    def run(self, command: str, data: bytes = b"") -> tuple[int, Future[Answer]]:
        """Start a command; the number is for kill()."""
        job = next(self._numbers)
        future = self._expect(job)
        self._send(job, command.encode(), data)
        return job, future

    def kill(self, job: int) -> None:
        """Kill a command with its whole session; its answer comes as usual."""
        self._send(job, b"", b"")

    def close(self) -> None:
        """Hang up; whoever still waits gets ChannelClosed."""
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
