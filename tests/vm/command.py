"""A command in the guest: running it, its result, and its errors."""

from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from .channel import Answer
from .qemu import Qemu

# Enough for a cold `dnf install` in an emulated guest.
COMMAND_TIMEOUT_S = 120
# An emulated guest needs at most so long for what takes a real one a second.
PATIENCE_S = 60

# How long the output of a killed command may take to arrive.
KILL_TIMEOUT_S = 10


class CommandFailed(AssertionError):
    """A command's status was not the expected one."""


class CommandTimeout(CommandFailed):
    """A command was killed because it took too long."""


@dataclass(frozen=True)
class Result:
    """The result of a command; a command killed by signal n has status 128 + n."""

    command: str
    status: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        streams = f"stdout: {self.stdout}\nstderr: {self.stderr}"
        return f"{self.command}\nstatus: {self.status}\n{streams}"


class Job:
    """A command that runs in the guest while the test continues."""

    def __init__(self, qemu: Qemu, command: str, data: bytes) -> None:
        self.command = command
        self._qemu = qemu
        with qemu.explained():
            self._number, self._answer = qemu.channel.run(command, data)

    def wait(self, timeout: float = COMMAND_TIMEOUT_S) -> Result:
        """Wait for the end; a command that takes longer is killed, and that is an error."""
        return self._decoded(self.wait_bytes(timeout))

    def wait_bytes(self, timeout: float = COMMAND_TIMEOUT_S) -> Answer:
        """Like wait(), for a command that prints something else than text."""
        try:
            return self._wait(timeout)
        except FutureTimeout:
            self.kill()
            raise CommandTimeout(f"killed after {timeout} s: {self._last_words()}") from None

    def kill(self) -> None:
        """Kill the command and all that it started in its session."""
        with self._qemu.explained():
            self._qemu.channel.kill(self._number)

    def _wait(self, timeout: float) -> Answer:
        with self._qemu.explained():
            return self._answer.result(timeout)

    def _last_words(self) -> str:
        try:
            return str(self._decoded(self._wait(KILL_TIMEOUT_S)))
        except FutureTimeout:
            return f"{self.command}\n(something outside its session keeps its streams open)"

    def _decoded(self, answer: Answer) -> Result:
        stdout, stderr = (stream.decode(errors="backslashreplace") for stream in answer[1:])
        return Result(self.command, answer.status, stdout, stderr)
