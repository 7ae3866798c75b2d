"""Creates and removes trace instances with kprobes, through tracefs: plain file operations, no BPF.

The names of an instance and of its probes say which process they belong to. The process removes
them at its end. If it was killed, the next process with the same names removes them at its start.
"""

import contextlib
import os
from typing import List, Match, Optional, Sequence

FOLDERS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")

# The beginning of a line of a trace: "comm-pid [cpu] flags seconds.micros: ", before "event: ...".
# Any user can choose the comm, but it has 16 columns, so that it cannot imitate the rest.
HEAD = (
    rb"(?P<comm>.{16})-(?P<pid>\d{1,10}) +(?:\([ \d-]+\) +)?\[(?P<cpu>\d{1,10})\] \S+ +"
    rb"(?P<seconds>\d{1,12})\.(?P<micros>\d{6}): "
)

_READ_BYTES = 64 * 1024
_READS_MAX = 16  # the next cycle drains the rest


class Instance:
    """A trace instance: a buffer, the probes that write into it, and the pipe to read it."""

    def __init__(self, root: str, name: str, events: Sequence[str], buffer_kb: int) -> None:
        """Create the instance; `events`, as "GROUP/EVENT", are those that define() may define.

        `buffer_kb` is the size of the buffer of each CPU. Raises OSError; then nothing is left.
        """
        self.tracefs = mounted(root)
        self.folder = os.path.join(self.tracefs, "instances", name)
        self._events = tuple(events)
        self._pipe = -1
        self._remove()
        try:
            os.mkdir(self.folder, 0o700)
            self._write("buffer_size_kb", str(buffer_kb))
            self._write("trace_clock", "mono")
            # From Linux 6.1 on (42fb0a1e84ff) poll() waits until this share of the buffer is full.
            with contextlib.suppress(FileNotFoundError):
                self._write("buffer_percent", "0")
        except OSError:
            self.close()
            raise

    def open(self) -> int:
        """Open the pipe for reading without blocking; return its descriptor. Raises OSError."""
        path = os.path.join(self.folder, "trace_pipe")
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return self._pipe

    def define(self, text: str, wanted: str = "") -> None:
        """Define a probe, "KIND:GROUP/EVENT PLACE ..." (Documentation/trace/kprobetrace.rst).

        `wanted` is a filter for its events (Documentation/trace/events.rst); empty means all.
        Raises OSError; then the probe is not defined.
        """
        _define(self.tracefs, text)
        event = text.split(maxsplit=1)[0].partition(":")[2]
        try:
            if wanted:
                self._write(f"events/{event}/filter", wanted)
        except OSError:
            self.undefine(event)
            raise

    def undefine(self, event: str) -> None:
        """Remove a probe, which must not be enabled. Raises OSError."""
        _define(self.tracefs, f"-:{event}")

    def enable(self, event: str, wanted: bool = True) -> None:
        """Enable a probe, or disable it. Raises OSError."""
        self._write(f"events/{event}/enable", "1" if wanted else "0")

    def read(self, name: str) -> str:
        """Return the content of a file of the instance. Raises OSError."""
        with open(os.path.join(self.folder, name), encoding="ascii", errors="replace") as file:
            return file.read()

    def defect(self, event: str) -> Optional[str]:
        """Return why an event can no longer be recorded, None when all is as it was set."""
        try:
            # While the module of a probe is not loaded, the value has a star behind it: "1*".
            enabled = self.read(f"events/{event}/enable").startswith("1")
            running = self.read("tracing_on").startswith("1")
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return None if enabled and running else f"{self.folder}: another program has disabled it"

    def close(self) -> None:
        """Remove the instance and its probes, as far as they exist."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        self._remove()

    def _remove(self) -> None:
        remove(self.tracefs, os.path.basename(self.folder), self._events)

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(os.path.join(self.folder, name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)


def mounted(root: str) -> str:
    """Return the folder of the mounted tracefs, if it has kprobes. Raises OSError if none has."""
    error: Optional[OSError] = None
    for folder in FOLDERS:
        path = os.path.join(root, folder, "kprobe_events")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
            return os.path.dirname(path)
        except OSError as caught:
            error = error or caught
    assert error is not None
    raise error


def time_ns(head: Match[bytes]) -> int:
    """Return the time in the head of a line: monotonic, to the microsecond."""
    return int(head.group("seconds")) * 10**9 + int(head.group("micros")) * 1000


def drain(pipe: int) -> List[bytes]:
    """Return the lines in a pipe, without waiting. Raises OSError when the pipe is broken."""
    lines: List[bytes] = []
    for _ in range(_READS_MAX):
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            break
        lines += data.splitlines()
        if not data:
            break
    return lines


def remove(tracefs: str, name: str, events: Sequence[str]) -> None:
    """Remove an instance and probes, as far as they exist.

    The instance is removed first: while it has a probe enabled, the probe cannot be removed.
    """
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(tracefs, "instances", name))
    for event in events:
        with contextlib.suppress(OSError):
            _define(tracefs, f"-:{event}")


def _define(tracefs: str, text: str) -> None:
    # For appending: opening the file with O_TRUNC would remove the probes of all programs.
    path = os.path.join(tracefs, "kprobe_events")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii") + b"\n")
    finally:
        os.close(descriptor)
