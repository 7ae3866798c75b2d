"""Births of network namespaces, told by a kprobe through tracefs.

A second probe, only set while somebody changes values back, tells who writes sysctls. The probes
and the trace instance are the guard's own, and there is one guard.
"""

import contextlib
import os
import re
from typing import Iterable, Match, NamedTuple, Optional

from ipvsd.kernel import module, tracefs
from ipvsd.kernel.tracefs import Instance
from ipvsd.model import Module

_INSTANCE = "ipvs-estoff-guard"
_BIRTH = "ipvsd/birth"
_WRITE = "ipvsd/write"

# Where the probe may sit, the best first, and which of its events are births. A namespace gets its
# ip_vs, at its birth or, each of them, when ip_vs is loaded, by ip_vs_control_net_init_sysctl
# (net/netfilter/ipvs/ip_vs_ctl.c). That calls register_net_sysctl (net/sysctl_net.c; since Linux
# 6.6, c899710fe7f9, register_net_sysctl_sz), which is the kernel's own: a probe inside of ip_vs is
# set anew at each load, which then waits for RCU. But before Linux 4.20 (a1303af5d79e) a probe
# cannot tell an argument. copy_net_ns (net/core/net_namespace.c) also returns for threads that get
# other namespaces only: then the guard looks once in vain.
_SYSCTLS = 'path == "net/ipv4/vs"'
_PLACES = (
    ("p", "register_net_sysctl_sz path=+0($arg2):string", _SYSCTLS),
    ("p", "register_net_sysctl path=+0($arg2):string", _SYSCTLS),
    ("r", f"{module.NAME}:ip_vs_control_net_init", ""),
    ("r", "copy_net_ns", ""),
)
# fs/proc/proc_sysctl.c: every write to a sysctl, of any namespace, through any procfs.
_SYSCTL_WRITE = "proc_sys_write"

# A line that does not look like this is a birth without a time.
_LINE = re.compile(tracefs.HEAD + rb"(?P<event>birth|write):")

_BUFFER_KB = 16  # for each CPU; the kernel's default of 1.4 MB would be 150 MB on 104 CPUs


class BirthEvents(NamedTuple):
    """What was told: births, when the first of them was (monotonic), who last wrote a sysctl."""

    births: int = 0
    first_ns: Optional[int] = None
    writer: str = ""  # command and pid


class BirthProbe:
    """The probe and the pipe that it tells through."""

    def __init__(self, root: str = "/") -> None:
        """Set the probe. Raises OSError when that is not to be had, having undone all of it."""
        self._root = root
        self._names_writers = False
        self._trace = Instance(root, _INSTANCE, (_BIRTH, _WRITE), _BUFFER_KB)
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

    def drain(self) -> BirthEvents:
        """Take what has been told, without waiting. Raises OSError when the pipe is broken."""
        return parse(tracefs.drain(self._pipe))

    def name_writers(self, wanted: bool) -> None:
        """Tell who writes sysctls from now on, or no longer; where that fails, do nothing."""
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
        """Return why no birth can be told any more, None when the probe is as it was set."""
        return self._trace.defect(_BIRTH)

    def close(self) -> None:
        """Remove probe and instance, as far as they are there."""
        self._trace.close()

    def _set_probe(self) -> None:
        refused: Optional[OSError] = None
        built_in = module.state(self._root) is Module.BUILT_IN
        for kind, place, births in _PLACES:
            if built_in and place.startswith(f"{module.NAME}:"):
                continue  # the kernel would wait for that module for ever
            try:
                self._trace.define(f"{kind}:{_BIRTH} {place}", births)
                return
            except OSError as error:
                refused = error
        assert refused is not None
        raise refused


def obstacle(root: str = "/") -> Optional[OSError]:
    """Return what keeps a probe from being set, None if nothing is seen to; nothing is changed."""
    try:
        tracefs.mounted(root)
    except OSError as error:
        return error
    return None


def parse(lines: Iterable[bytes]) -> BirthEvents:
    """Return what lines of a trace tell; never raises."""
    births, times, writer = 0, [], ""
    for line in lines:
        match = _LINE.match(line)
        if match is not None and match.group("event") == b"write":
            writer = _writer(match) or writer
            continue
        births += 1
        if match is not None:
            times.append(tracefs.time_ns(match))
    # One without a time may have been the first.
    return BirthEvents(births, min(times) if births and len(times) == births else None, writer)


def _writer(match: Match[bytes]) -> str:
    """Command and pid of whoever wrote, empty when it was the guard itself."""
    thread = int(match.group("pid"))
    if os.path.exists(f"/proc/self/task/{thread}"):
        return ""
    return f"{match.group('comm').decode('utf-8', 'replace').strip()} (pid {thread})"
