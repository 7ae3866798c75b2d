"""Trace instances with kprobes, through tracefs: plain file operations, no BPF.

An instance and its probes belong to whoever makes them, by their names. They are removed at its
end, and those that were left by one that was killed when the next of the same name begins.
"""

import contextlib
import os
from typing import List, Match, Optional, Sequence

FOLDERS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")

# How a line of a trace begins: "comm-pid [cpu] flags seconds.micros: ", before "event: ...". The
# comm, which anybody may choose, has 16 columns, so that it cannot pass for the rest.
HEAD = (
    rb"(?P<comm>.{16})-(?P<pid>\d{1,10}) +(?:\([ \d-]+\) +)?\[(?P<cpu>\d{1,10})\] \S+ +"
    rb"(?P<seconds>\d{1,12})\.(?P<micros>\d{6}): "
)

_READ_BYTES = 64 * 1024
_READS_MAX = 16  # what is left is drained in the next turn


class Instance:
    """A buffer of one's own, the probes that write into it, and the pipe to read it through."""

    def __init__(self, root: str, name: str, events: Sequence[str], buffer_kb: int) -> None:
        """Make it; `events`, as "GROUP/EVENT", are those that may be defined for it.

        The buffer is for each CPU. Raises OSError, having undone all of it.
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
        """Open the pipe, which does not block, and return its descriptor. Raises OSError."""
        path = os.path.join(self.folder, "trace_pipe")
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return self._pipe

    def define(self, text: str, wanted: str = "") -> None:
        """Define a probe (Documentation/trace/kprobetrace.rst), "KIND:GROUP/EVENT PLACE ...".

        Of its events only those that match a filter are `wanted` (Documentation/trace/events.rst).
        Raises OSError, having undone it.
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
        """Take a probe away; nothing may listen to it. Raises OSError."""
        _define(self.tracefs, f"-:{event}")

    def enable(self, event: str, wanted: bool = True) -> None:
        """Listen to a probe, or no longer. Raises OSError."""
        self._write(f"events/{event}/enable", "1" if wanted else "0")

    def read(self, name: str) -> str:
        """Return the content of one of its files. Raises OSError."""
        with open(os.path.join(self.folder, name), encoding="ascii", errors="replace") as file:
            return file.read()

    def defect(self, event: str) -> Optional[str]:
        """Return why nothing can be told of an event any more, None when it is as it was set."""
        try:
            # A probe that is gone for the moment, with its module, shows a star behind the value.
            heard = self.read(f"events/{event}/enable").startswith("1")
            running = self.read("tracing_on").startswith("1")
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return None if heard and running else f"{self.folder}: somebody has switched it off"

    def close(self) -> None:
        """Remove instance and probes, as far as they are there."""
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
    """Return the mounted tracefs that has kprobes; raises OSError when there is none."""
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
    """Return the time that a line's head tells: monotonic, to the microsecond."""
    return int(head.group("seconds")) * 10**9 + int(head.group("micros")) * 1000


def drain(pipe: int) -> List[bytes]:
    """Take the lines that are in a pipe, without waiting. Raises OSError when it is broken."""
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
    """Remove an instance and probes, as far as they are there.

    The instance first: while it listens, the probes cannot go.
    """
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(tracefs, "instances", name))
    for event in events:
        with contextlib.suppress(OSError):
            _define(tracefs, f"-:{event}")


def _define(tracefs: str, text: str) -> None:
    # For appending: opening the file to write anew would remove everybody's probes.
    path = os.path.join(tracefs, "kprobe_events")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii") + b"\n")
    finally:
        os.close(descriptor)
