"""Births of network namespaces, told by a kprobe through tracefs: plain file operations, no BPF.

A second probe, only set while somebody changes values back, tells who writes sysctls. The probes
and the trace instance are the guard's own. They are removed at its end, and those of a guard that
was killed at the next start.
"""

import contextlib
import os
import re
from typing import Iterable, List, Match, NamedTuple, Optional

from ipvsd.core.model import Module
from ipvsd.kernel import module

FOLDERS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")
_INSTANCE = "ipvs-estoff-guard"
_BIRTH = "ipvsd/birth"
_WRITE = "ipvsd/write"

# Where the probe may sit, the best first; all return when the namespace is as good as ready.
# ip_vs_control_net_init (net/netfilter/ipvs/ip_vs_ctl.c) runs for each namespace that gets an
# ip_vs: at its birth, and for all of them when ip_vs is loaded. The kernel sets the probe when
# ip_vs comes, and it does not keep ip_vs from going. copy_net_ns (net/core/net_namespace.c) also
# returns for threads that get other namespaces only: then the guard looks once in vain.
_INIT = "ip_vs_control_net_init"
_COPY = "copy_net_ns"
# fs/proc/proc_sysctl.c: every write to a sysctl, of any namespace, through any procfs.
_SYSCTL_WRITE = "proc_sys_write"

# "comm-pid [cpu] flags seconds.micros: event: ...", where the comm, which anybody may choose, has
# 16 columns. A line that does not look like this is a birth without a time.
_LINE = re.compile(
    rb"(?P<comm>.{16})-(?P<pid>\d+) +(?:\([ \d-]+\) +)?\[\d+\] \S+ +"
    rb"(?P<seconds>\d+)\.(?P<micros>\d{6}): (?P<event>birth|write):"
)

_READ_BYTES = 64 * 1024
_READS_MAX = 16  # what is left is drained in the next turn
_BUFFER_KB = 16  # for each CPU; the kernel's default of 1.4 MB would be 150 MB on 104 CPUs


class Told(NamedTuple):
    """What was told: births, when the first of them was (monotonic), who last wrote a sysctl."""

    births: int = 0
    first_ns: Optional[int] = None
    writer: str = ""  # command and pid


class Births:
    """The probe and the pipe that it tells through."""

    def __init__(self, root: str = "/") -> None:
        """Set the probe. Raises OSError when that is not to be had, having undone all of it."""
        self._root = root
        self._folder = _tracefs(root)
        self._instance = os.path.join(self._folder, "instances", _INSTANCE)
        self._pipe = -1
        self._names_writers = False
        self._remove()
        try:
            os.mkdir(self._instance, 0o700)
            self._write("buffer_size_kb", str(_BUFFER_KB))
            self._write("trace_clock", "mono")
            # From Linux 6.1 on (42fb0a1e84ff) poll() waits until this share of the buffer is full.
            with contextlib.suppress(FileNotFoundError):
                self._write("buffer_percent", "0")
            self.place = self._set_probe()
            pipe = os.path.join(self._instance, "trace_pipe")
            self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._write(f"events/{_BIRTH}/enable", "1")
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._pipe

    def drain(self) -> Told:
        """Take what has been told, without waiting. Raises OSError when the pipe is broken."""
        lines: List[bytes] = []
        for _ in range(_READS_MAX):
            try:
                data = os.read(self._pipe, _READ_BYTES)
            except BlockingIOError:
                break
            lines += data.splitlines()
            if not data:
                break
        return parse(lines)

    def name_writers(self, wanted: bool) -> None:
        """Tell who writes sysctls from now on, or no longer; where that fails, do nothing."""
        if wanted == self._names_writers:
            return
        self._names_writers = wanted
        with contextlib.suppress(OSError):
            if wanted:
                self._define(f"p:{_WRITE} {_SYSCTL_WRITE}")
            self._write(f"events/{_WRITE}/enable", "1" if wanted else "0")
            if not wanted:
                self._define(f"-:{_WRITE}")

    def defect(self) -> Optional[str]:
        """Return why no birth can be told any more, None when the probe is as it was set."""
        try:
            with open(os.path.join(self._instance, f"events/{_BIRTH}/enable"), "rb") as file:
                enabled = file.read(1) == b"1"
            with open(os.path.join(self._instance, "tracing_on"), "rb") as file:
                running = file.read(1) == b"1"
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return None if enabled and running else f"{self._instance}: somebody has switched it off"

    def close(self) -> None:
        """Remove probe and instance, as far as they are there."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        self._remove()

    def _set_probe(self) -> str:
        place = _INIT if module.state(self._root) is Module.BUILT_IN else f"{module.NAME}:{_INIT}"
        try:
            self._define(f"r:{_BIRTH} {place}")
        except OSError:
            place = _COPY
            self._define(f"r:{_BIRTH} {place}")
        return place

    def _remove(self) -> None:
        """The instance first: while it listens, the probes cannot go."""
        with contextlib.suppress(OSError):
            os.rmdir(self._instance)
        for event in (_BIRTH, _WRITE):
            with contextlib.suppress(OSError):
                self._define(f"-:{event}")

    def _define(self, text: str) -> None:
        # For appending: opening the file to write anew would remove everybody's probes.
        path = os.path.join(self._folder, "kprobe_events")
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii") + b"\n")
        finally:
            os.close(descriptor)

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(os.path.join(self._instance, name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)


def _tracefs(root: str) -> str:
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


def obstacle(root: str = "/") -> Optional[OSError]:
    """Return what keeps a probe from being set, None if nothing is seen to; nothing is changed."""
    try:
        _tracefs(root)
    except OSError as error:
        return error
    return None


def parse(lines: Iterable[bytes]) -> Told:
    """Return what lines of a trace tell; never raises."""
    births, times, writer = 0, [], ""
    for line in lines:
        match = _LINE.match(line)
        if match is not None and match.group("event") == b"write":
            writer = _writer(match) or writer
            continue
        births += 1
        if match is not None:
            times.append(int(match.group("seconds")) * 10**9 + int(match.group("micros")) * 1000)
    # One without a time may have been the first.
    return Told(births, min(times) if births and len(times) == births else None, writer)


def _writer(match: Match[bytes]) -> str:
    """Command and pid of whoever wrote, empty when it was the guard itself."""
    thread = int(match.group("pid"))
    if os.path.exists(f"/proc/self/task/{thread}"):
        return ""
    return f"{match.group('comm').decode('utf-8', 'replace').strip()} (pid {thread})"
