"""Reports births of network namespaces, with a kprobe that it sets through tracefs.

A second probe reports who writes sysctls. It is set only while a value is contested. The probes
and the trace instance have fixed names, since only one guard can run.
"""

import contextlib
import functools
import os
import re
from typing import AbstractSet, Dict, Iterable, Iterator, Match, NamedTuple, Optional

from ipvsd.kernel import btf, module, trace_text, tracefs
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
# at each load, and the load then waits for RCU. copy_net_ns (net/core/net_namespace.c) also
# returns for threads that get only other kinds of namespaces: then the guard scans once in vain.
_SYSCTLS = 'path == "net/ipv4/vs"'
_PLACES = (
    ("p", "register_net_sysctl_sz", _SYSCTLS),
    ("p", "register_net_sysctl", _SYSCTLS),
    ("r", f"{module.NAME}:ip_vs_control_net_init", ""),
    ("r", "copy_net_ns", ""),
)
_STRUCTS = ("net", "ns_common")
# fs/proc/proc_sysctl.c: every write to a sysctl, of any namespace, through any procfs.
_SYSCTL_WRITE = "proc_sys_write"

# A line that does not match counts as a birth without a time.
_LINE = re.compile(trace_text.HEAD + rb"(?P<event>birth|write):")
_INODE = re.compile(rb" inode=(\d{1,10})(?= |$)")

_BUFFER_KB = 16  # for each CPU; the kernel's default of 1.4 MB would be 150 MB on 104 CPUs


class BirthEvents(NamedTuple):
    """What the probes reported: births, and who wrote a sysctl."""

    births: int = 0  # of unknown inode number
    first_ns: Optional[int] = None  # time of the first of these (monotonic), None if unknown
    born: Dict[int, int] = {}  # the other births: inode number, and when
    writer: str = ""  # command and pid of the last writer, empty if unknown
    own: bool = False  # the guard has created one of the namespaces
    tasks: Dict[int, int] = {}  # that have caused the births, and when each did last
    # Namespaces that were there before, and to which a load of ip_vs has just added it, by inode
    # number, and when it did. They are no births.
    loaded_into: Dict[int, int] = {}

    @property
    def is_news(self) -> bool:
        """Whether it asks for a look or a scan."""
        return bool(self.births or self.born) or not self.loaded_into

    def with_unknown(self) -> "BirthEvents":
        """Return them with one birth more, of which nothing is known."""
        return self._replace(births=self.births + 1, first_ns=None, tasks={})


class BirthProbe:
    """The probe on births, and the pipe that its events are read from."""

    def __init__(self, root: str = "/", host: int = 0) -> None:
        """Set the probe. Raises OSError when it is unavailable; then nothing is left set.

        `host` is the inode number of the host's namespace, the first to which a load adds ip_vs.
        """
        self._root = root
        self._host = host
        self._loader = 0  # the task that loads ip_vs, 0 if none is known
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

    def drain(self, own: AbstractSet[int] = frozenset(), loading: bool = False) -> BirthEvents:
        """Return the events in the pipe, without waiting. Raises OSError when it is broken.

        `own` has the pids of the guard's processes. Unless ip_vs is still `loading`, the task that
        has loaded it causes nothing but births from now on.
        """
        lines = tracefs.drain(self._pipe)
        self._loader = loader(lines, self._host) or self._loader
        found = parse(lines, own, self._loader)
        self._loader = self._loader if loading else 0
        return found

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
        inode_at = _inode_at(self._root)
        for kind, place, births in _PLACES:
            if built_in and place.startswith(f"{module.NAME}:"):
                continue  # the kernel would accept the probe, and wait for a module of this name
            for fetched in _fetched(inode_at) if births else ("",):
                try:
                    self._trace.define(f"{kind}:{_BIRTH} {place}{fetched}", births)
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


@functools.lru_cache(maxsize=1)
def _inode_at(root: str) -> Optional[int]:
    """Return where in struct net its inode number is, None if no BTF shows it.

    It takes tens of milliseconds, and stays the same until the next boot.
    """
    try:
        members = btf.kernel_members(root, _STRUCTS)
        return members["net"]["ns"] + members["ns_common"]["inum"]
    except (OSError, KeyError, ValueError):
        return None


def _fetched(inode_at: Optional[int]) -> Iterator[str]:
    """Return what a probe may record of the arguments, in the ways in which kernels take it."""
    for net, path in tracefs.arguments():
        inode = "" if inode_at is None else f" inode=+{inode_at}({net}):u32"
        yield f" path=+0({path}):string{inode}"


def loader(lines: Iterable[bytes], host: int) -> int:
    """Return the task that loads ip_vs, if the lines show one that adds it to the host; else 0."""
    found = 0
    for line in lines:
        match = _LINE.match(line)
        if match is not None and host and _inode(match) == host:
            found = int(match.group("pid"))
    return found


def parse(
    lines: Iterable[bytes], own: AbstractSet[int] = frozenset(), loaded_by: int = 0
) -> BirthEvents:
    """Return the events in lines of a trace; never raises. `own` as in BirthProbe.drain().

    `loaded_by` is the task that loads ip_vs, 0 if none does: what it causes are no births.
    """
    births, times, writer, own_birth = 0, [], "", False
    tasks: Dict[int, int] = {}
    born: Dict[int, int] = {}
    loaded_into: Dict[int, int] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is not None and match.group("event") == b"write":
            writer = _writer(match, own) or writer
            continue
        inode = None if match is None else _inode(match)
        if match is not None and inode is not None and int(match.group("pid")) == loaded_by:
            loaded_into[inode] = trace_text.time_ns(match)
            continue
        if inode is None:
            births += 1
        if match is not None:
            time_ns = trace_text.time_ns(match)
            tasks[int(match.group("pid"))] = time_ns
            own_birth = own_birth or _is_own(match, own)
            if inode is None:
                times.append(time_ns)
            else:
                born[inode] = time_ns
    # If one birth has no time, it may have been the first.
    first_ns = min(times) if births and len(times) == births else None
    return BirthEvents(births, first_ns, born, writer, own_birth, tasks, loaded_into)


def _inode(match: Match[bytes]) -> Optional[int]:
    """Return the inode number in the line of a birth, None if the probe does not record it."""
    found = _INODE.search(match.string, match.end())
    return None if found is None else int(found.group(1))


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
