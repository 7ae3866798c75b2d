"""Reports births of network namespaces, with a kprobe that it sets through tracefs.

A second probe reports who writes sysctls. It is set only while a value is contested. The probes
and the trace instance have fixed names, since only one guard can run.
"""

import contextlib
import os
import re
from typing import AbstractSet, Dict, Iterable, Match, NamedTuple, Optional

from ipvsd.kernel import module, trace_text, tracefs
from ipvsd.kernel.tracefs import Instance
from ipvsd.model import Module

_INSTANCE = "ipvs-estoff-guard"
_BIRTH = "ipvsd/birth"
_WRITE = "ipvsd/write"
_PROOF = "ipvsd/proof"

# Where the probe can be set, the best place first, and a filter for the events that are births.
# ip_vs is added to a namespace at its birth, and to every namespace when ip_vs is loaded. The
# kernel does this in ip_vs_control_net_init_sysctl (net/netfilter/ipvs/ip_vs_ctl.c), which calls
# register_net_sysctl (net/sysctl_net.c; since Linux 6.6, c899710fe7f9, register_net_sysctl_sz).
# That function is in the kernel itself. A probe inside of ip_vs is worse: the kernel sets it again
# at each load, and the load then waits for RCU. But before Linux 4.20 (a1303af5d79e) a probe
# cannot read an argument, which the filter needs. copy_net_ns (net/core/net_namespace.c) also
# returns for threads that get only other kinds of namespaces: then the guard scans once in vain.
_SYSCTLS = 'path == "net/ipv4/vs"'
_PLACES = (
    ("p", "register_net_sysctl_sz path=+0($arg2):string", _SYSCTLS),
    ("p", "register_net_sysctl path=+0($arg2):string", _SYSCTLS),
    ("r", f"{module.NAME}:ip_vs_control_net_init", ""),
    ("r", "copy_net_ns", ""),
)
# fs/proc/proc_sysctl.c: every write to a sysctl, of any namespace, through any procfs.
_SYSCTL_WRITE = "proc_sys_write"

# A line that does not match counts as a birth without a time.
_LINE = re.compile(trace_text.HEAD + rb"(?P<event>birth|write):")

_BUFFER_KB = 16  # for each CPU; the kernel's default of 1.4 MB would be 150 MB on 104 CPUs


class BirthEvents(NamedTuple):
    """What the probes reported: births, and who wrote a sysctl."""

    births: int = 0
    first_ns: Optional[int] = None  # time of the first birth (monotonic), None if unknown
    writer: str = ""  # command and pid of the last writer, empty if unknown
    own: bool = False  # the guard has created one of the namespaces
    tasks: Dict[int, int] = {}  # that have caused the births, and when each did last


class BirthProbe:
    """The probe on births, and the pipe that its events are read from."""

    def __init__(self, root: str = "/") -> None:
        """Set the probe. Raises OSError when it is unavailable; then nothing is left set."""
        self._root = root
        self._names_writers = False
        self._trace = Instance(root, _INSTANCE, (_BIRTH, _WRITE), _PROOF, _BUFFER_KB)
        try:
            self._set_probe()
            self._pipe = self._trace.open()
            self._trace.enable(_BIRTH)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._pipe

    def drain(self, own: AbstractSet[int] = frozenset()) -> BirthEvents:
        """Return the events in the pipe, without waiting. Raises OSError when it is broken.

        `own` has the pids of the guard's processes.
        """
        return parse(tracefs.drain(self._pipe), own)

    def name_writers(self, wanted: bool) -> None:
        """Report who writes sysctls from now on, or stop it; where that fails, do nothing."""
        if wanted == self._names_writers:
            return
        self._names_writers = wanted
        with contextlib.suppress(OSError):
            if wanted:
                self._trace.define(f"p:{_WRITE} {_SYSCTL_WRITE}")
            self._trace.enable(_WRITE, wanted)
            if not wanted:
                self._trace.undefine(_WRITE)

    def defect(self) -> Optional[str]:
        """Return why no birth can be reported any more, None when the probe is as it was set."""
        return self._trace.defect(_BIRTH)

    def close(self) -> str:
        """Remove the probes and the instance, as far as they exist.

        Return the folder of the instance if it has to stay behind, else an empty text.
        """
        return self._trace.close()

    def _set_probe(self) -> None:
        refused: Optional[OSError] = None
        built_in = module.state(self._root) is Module.BUILT_IN
        for kind, place, births in _PLACES:
            if built_in and place.startswith(f"{module.NAME}:"):
                continue  # the kernel would accept the probe, and wait for a module of this name
            try:
                self._trace.define(f"{kind}:{_BIRTH} {place}", births)
                return
            except OSError as error:
                refused = error
        assert refused is not None
        raise refused


def obstacle(root: str = "/") -> Optional[OSError]:
    """Return the error that prevents a probe, None if there is none to see; change nothing."""
    try:
        tracefs.mounted(root)
    except OSError as error:
        return error
    return tracefs.obstacle(root)


def parse(lines: Iterable[bytes], own: AbstractSet[int] = frozenset()) -> BirthEvents:
    """Return the events in lines of a trace; never raises. `own` as in BirthProbe.drain()."""
    births, times, writer, own_birth = 0, [], "", False
    tasks: Dict[int, int] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is not None and match.group("event") == b"write":
            writer = _writer(match, own) or writer
            continue
        births += 1
        if match is not None:
            times.append(trace_text.time_ns(match))
            tasks[int(match.group("pid"))] = times[-1]
            own_birth = own_birth or _is_own(match, own)
    # If one birth has no time, it may have been the first.
    first_ns = min(times) if births and len(times) == births else None
    return BirthEvents(births, first_ns, writer, own_birth, tasks)


def _is_own(match: Match[bytes], own: AbstractSet[int]) -> bool:
    """Return whether the guard caused the event: one of its processes, or a thread of this one."""
    pid = int(match.group("pid"))
    return pid in own or os.path.exists(f"/proc/self/task/{pid}")


def _writer(match: Match[bytes], own: AbstractSet[int]) -> str:
    """Return command and pid of the process that wrote, empty when it was the guard itself."""
    if _is_own(match, own):
        return ""
    comm = match.group("comm").decode("utf-8", "replace").strip()
    return f"{comm} (pid {int(match.group('pid'))})"
