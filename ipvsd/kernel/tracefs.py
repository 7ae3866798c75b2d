"""Creates and removes trace instances with kprobes, through tracefs: plain file operations, no BPF.

The names of an instance and of its probes say which process they belong to. The process removes
them at its end. If it was killed, the next process with the same names removes them at its start.

While the sysctl kernel.ftrace_enabled is 0, kprobes stay enabled and never fire, and none is set
or removed here: on Debian's 6.1.0 to remove one then, and another one after it is 1 again, ends in
a WARNING at ftrace_shutdown and later in an Oops or a soft lockup.
"""

import contextlib
import errno
import os
import select
from typing import Iterable, Iterator, List, Optional, Sequence, Tuple

from ipvsd.kernel import trace_text
from ipvsd.text import error_text

FOLDERS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")

_FTRACE = "proc/sys/kernel/ftrace_enabled"
# "0" disarms all kprobes, whatever their `enable` files say (Documentation/trace/kprobes.rst).
_KPROBES = "sys/kernel/debug/kprobes/enabled"

# fs/proc/proc_sysctl.c: what each read of a sysctl calls. It is in a table of file operations, so
# that no compiler inlines it.
_PROOF_PLACE = "proc_sys_read"
_PROOF_FILE = "proc/sys/kernel/osrelease"

# The first two arguments of a function. Before Linux 4.20 (a1303af5d79e) a probe has no name for
# them: they are in these registers, by the machine (the calling conventions of its C compiler).
_ARGUMENTS = ("$arg1", "$arg2")
_REGISTERS = {"x86_64": ("%di", "%si"), "aarch64": ("%x0", "%x1")}

_BUFFER_PERCENT = "buffer_percent"
# An event is in the pipe at once.
_EVENT_MS = 1000

_READ_BYTES = 64 * 1024
_READS_MAX = 16  # the next cycle drains the rest


class Instance:
    """A trace instance: a buffer, the probes that write into it, and the pipe to read it."""

    def __init__(
        self, root: str, name: str, events: Sequence[str], proof: str, buffer_kb: int
    ) -> None:
        """Create the instance; `events`, as "GROUP/EVENT", are those that define() may define.

        `proof` is the event that prove() uses, `buffer_kb` the size of the buffer of each CPU.
        Raises OSError; then nothing is left.
        """
        self.tracefs = mounted(root)
        self._root = root
        self.folder = os.path.join(self.tracefs, "instances", name)
        self._events = (*events, proof)
        self._proof = proof
        self._pipe = -1
        _refuse_if_obstructed(root)
        self.close()  # what a process with the same names has left
        try:
            os.mkdir(self.folder, 0o700)
            self._write("buffer_size_kb", str(buffer_kb))
            self._write("trace_clock", "mono")
            self._wake_at_once()
        except OSError:
            self.close()
            raise

    def open(self) -> int:
        """Open the pipe for reading without blocking; return its descriptor.

        Raises OSError, also where a probe does not fire, or its event does not make poll() return.
        """
        path = os.path.join(self.folder, "trace_pipe")
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        with self._fired_proof():
            readable = poll.poll(_EVENT_MS)
        if not readable:
            raise OSError(errno.EIO, "a kprobe was set, and its event does not come", self.folder)
        drain(self._pipe)
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
        """Enable a probe, or disable it. Raises OSError, also while no probe may be changed."""
        _refuse_if_obstructed(self._root)
        self._write(f"events/{event}/enable", "1" if wanted else "0")

    def prove(self) -> None:
        """Show that probes fire, by one whose place this process calls. Raises OSError if not.

        The event counts as a hit and, by its filter, is not recorded: no idle task reads a file.
        """
        with self._fired_proof("common_pid == 0"):
            hits = profile(self.tracefs, (self._proof,))[0]
        if not hits:
            raise OSError(errno.EIO, "a kprobe was set, and it does not fire", self.tracefs)

    def read(self, name: str) -> str:
        """Return the content of a file of the instance. Raises OSError."""
        with open(os.path.join(self.folder, name), encoding="ascii", errors="replace") as file:
            return file.read()

    def defect(self, event: str) -> Optional[str]:
        """Return why an event can no longer be recorded, None when all is as it was set."""
        try:
            _refuse_if_obstructed(self._root)
            # While the module of a probe is not loaded, the value has a star behind it: "1*".
            enabled = _value(f"{self.folder}/events/{event}/enable").startswith("1")
            running = _value(f"{self.folder}/tracing_on") == "1"
        except OSError as error:
            return error_text(error)
        return None if enabled and running else f"{self.folder}: another program has disabled it"

    def close(self) -> str:
        """Remove the instance and its probes, as far as they exist.

        Return the folder of the instance if it has to stay behind, else an empty text.
        """
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        remove(self._root, self.tracefs, os.path.basename(self.folder), self._events)
        return self.folder if os.path.exists(self.folder) else ""

    @contextlib.contextmanager
    def _fired_proof(self, wanted: str = "") -> Iterator[None]:
        """Set a probe, cause its event, and remove it at the end. Raises OSError."""
        self.define(f"p:{self._proof} {_PROOF_PLACE}", wanted)
        try:
            self.enable(self._proof)
            with open(os.path.join(self._root, _PROOF_FILE), "rb", buffering=0) as file:
                file.read()
            yield
            self.enable(self._proof, wanted=False)
        finally:
            with contextlib.suppress(OSError):  # close() tries again
                self.undefine(self._proof)

    def _wake_at_once(self) -> None:
        """Have poll() return for one event, and not only when half of the buffer is full.

        The kernel's default for `buffer_percent` is 50 (03329f993978, Linux 5.0; kernels before
        have no such file). Until 4f94559f40ad (2023) the file is 0444, which its owner may change.
        Without CAP_DAC_OVERRIDE root may write only what a mode permits.
        """
        try:
            self._write(_BUFFER_PERCENT, "0")
        except FileNotFoundError:
            pass
        except PermissionError:
            os.chmod(os.path.join(self.folder, _BUFFER_PERCENT), 0o600)
            self._write(_BUFFER_PERCENT, "0")

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(os.path.join(self.folder, name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)


def arguments() -> List[Tuple[str, str]]:
    """Return what a probe may call the first two arguments of a function, the best way first."""
    return list(filter(None, (_ARGUMENTS, _REGISTERS.get(os.uname().machine))))


def mounted(root: str) -> str:
    """Return the folder of the mounted tracefs, if it has kprobes. Raises OSError if none has.

    The folder in debugfs is tried only where tracefs is not mounted in the first: to look below it
    mounts tracefs there too, and newer kernels log a notice (trace_automount(),
    kernel/trace/trace.c).
    """
    error: Optional[OSError] = None
    for folder in FOLDERS:
        path = os.path.join(root, folder, "kprobe_events")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
            return os.path.dirname(path)
        except OSError as caught:
            error = error or caught
            is_absent = caught.errno in (errno.ENOENT, errno.ENOTDIR)
            if not is_absent or os.path.lexists(os.path.join(root, folder, "trace")):
                break
    assert error is not None
    raise error


def obstacle(root: str) -> Optional[OSError]:
    """Return why no probe fires and none may be changed now, None if nothing shows that."""
    for path, name in ((_FTRACE, "kernel.ftrace_enabled"), (_KPROBES, f"/{_KPROBES}")):
        try:
            if _value(os.path.join(root, path)) == "0":
                return OSError(errno.EBUSY, "is 0, so that no kprobe fires", name)
        except OSError:  # this kernel has no such switch, or debugfs is not mounted
            continue
    return None


def _value(path: str) -> str:
    """Return the content of a file with a switch. Raises OSError.

    The guard reads four of them every 5 s: open() would take three times as long.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 64).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)


def _refuse_if_obstructed(root: str) -> None:
    why_not = obstacle(root)
    if why_not is not None:
        raise why_not


def left_behind(folder: str) -> str:
    """Return a sentence about an instance that close() could not remove."""
    return (
        f"{folder}: its kprobes stay set, because none may be removed while kernel.ftrace_enabled "
        f"or /{_KPROBES} is 0; the next start of ipvs-estoff-guard after that removes them"
    )


def profile(tracefs: str, events: Iterable[str]) -> Tuple[int, int]:
    """Return how often these events were hit, and how many more hits the kernel missed."""
    with open(os.path.join(tracefs, "kprobe_profile"), encoding="ascii") as file:
        return trace_text.parse_profile(file.read(), events)


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


def remove(root: str, tracefs: str, name: str, events: Sequence[str]) -> None:
    """Remove an instance and probes, as far as they exist and may be changed now.

    The instance is removed first: while it has a probe enabled, the probe cannot be removed.
    """
    if obstacle(root) is not None:
        return
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
