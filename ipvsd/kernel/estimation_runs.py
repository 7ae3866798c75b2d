"""Measures each estimation run, with kprobes that this process sets and removes.

Up to Linux 6.1 an estimation run is one call of estimation_timer(): one for each namespace every
2 seconds; in Alibaba Cloud Linux 2 it is one of estimation_work() (see dialects). At
run_estimation = 0 the timer still ticks, and returns at once. From 6.2 on an estimation run is one
call of ip_vs_chain_estimation(), with which a kernel thread works through one chain of estimators.
All are in net/netfilter/ipvs/ip_vs_est.c.
"""

import contextlib
import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Set

from ipvsd.kernel import btf, kallsyms, module, trace_text, tracefs
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.kernel.tracefs import Instance
from ipvsd.model import Module
from ipvsd.text import error_text

# Names with the pid, so that several processes can measure at once, beside the guard's instance.
_INSTANCE = "ipvsd-measure-{}"
_EVENTS = ("ipvsd_measure/begin_{}", "ipvsd_measure/end_{}", "ipvsd_measure/proof_{}")
_OWNER = re.compile(r"ipvsd-measure-(\d+)")

_TIMER, _WORK = "estimation_timer", "estimation_work"
_CHAIN = "ip_vs_chain_estimation"
_STRUCTS = ("netns_ipvs", "net", "ns_common")

# Sizes for each CPU. A timer writes 200 bytes in 2 seconds. A thread takes up to an eighth of a
# CPU, in pieces of 100 us (705dd3444081): 1,250 runs of 100 bytes each a second.
_TIMER_BUFFER_KB = 64
_CHAIN_BUFFER_KB = 256

_LINE = re.compile(
    trace_text.HEAD + rb"(?P<event>begin|end)_\d+: \([^)]*\)"
    rb"(?: run=(?P<run>-?\d{1,10}) inode=(?P<inode>\d{1,20}))?"
    rb"(?: timer=(?P<timer>0x[0-9a-f]{1,16}))?"
)
_LOST = re.compile(r"^(?:overrun|dropped events): (\d{1,20})$", re.M | re.ASCII)


class Mark(NamedTuple):
    """One line of the trace: the beginning or the end of an estimation run."""

    begins: bool
    time_ns: int
    cpu: int
    pid: int  # of the kernel thread, or of the task that the timer interrupted
    working: Optional[bool]
    inode: Optional[int]
    timer: bytes = b""  # which of the timers ticked; empty if unknown


class RunProbes:
    """The probes on estimation runs, and the pipe that their samples are read from."""

    def __init__(self, root: str, kthreads: bool) -> None:
        """Set the probes; ip_vs has to be loaded. Raises OSError; then nothing is left set."""
        self._root = root
        self._open: Dict[int, Mark] = {}
        self._unread = 0
        # Whether a sample says if its run did any work, and in which namespace.
        self.detailed = False
        # Else the timers that have ticked, one for each namespace; None where these are unknown.
        self._timers: Optional[Set[bytes]] = None
        remove_leftovers(root)
        self._begin, self._end, proof = (event.format(os.getpid()) for event in _EVENTS)
        name = _INSTANCE.format(os.getpid())
        buffer_kb = _CHAIN_BUFFER_KB if kthreads else _TIMER_BUFFER_KB
        self._trace = Instance(root, name, (self._begin, self._end), proof, buffer_kb)
        try:
            self._set_probes(kthreads)
            self._pipe = self._trace.open()
            # The end first: a begin whose end is not recorded would look like a run in progress.
            self._trace.enable(self._end)
            self._trace.enable(self._begin)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._pipe

    def take(self) -> List[EstimationRun]:
        """Return the estimation runs that have ended, without waiting. Raises OSError."""
        samples = []
        for mark in self._marks(tracefs.drain(self._pipe)):
            # A task is on one CPU at a time, so its pid identifies a run; only the idle tasks of
            # all CPUs share the pid 0.
            key = mark.pid or -1 - mark.cpu
            if mark.begins:
                self._open[key] = mark
                if self._timers is not None:
                    self._timers.add(mark.timer)
                continue
            begin = self._open.pop(key, None)
            if begin is not None:
                duration_ns = mark.time_ns - begin.time_ns
                samples.append(
                    EstimationRun(
                        begin.time_ns, duration_ns, mark.cpu, begin.working, begin.inode, begin.pid
                    )
                )
        return samples

    def take_timers(self) -> Optional[Set[bytes]]:
        """Return the timers that have ticked since the last call, None where that is unknown."""
        timers = self._timers
        self._timers = None if timers is None else set()
        return timers

    def lost(self) -> int:
        """Return how many hits of the probes are missing from the samples so far."""
        folder = os.path.join(self._trace.folder, "per_cpu")
        lost = self._unread
        for cpu in os.listdir(folder):
            lost += overwritten(self._trace.read(f"per_cpu/{cpu}/stats"))
        return lost + tracefs.profile(self._trace.tracefs, (self._begin, self._end))[1]

    def defect(self) -> Optional[str]:
        """Return why runs may have been missed since the probes were set, None if they were not.

        The proof is repeated: what stopped the probes in between and has ended is not seen.
        """
        defect = self._trace.defect(self._begin) or self._trace.defect(self._end)
        if defect is None:
            try:
                self._trace.prove()
            except OSError as error:
                defect = error_text(error)
        return defect

    def close(self) -> str:
        """Remove the probes; return the folder that has to stay behind, empty if none has."""
        return self._trace.close()

    def _marks(self, lines: Iterable[bytes]) -> Iterable[Mark]:
        for line in lines:
            mark = parse(line)
            if mark is not None:
                yield mark
            elif b" EVENTS]" not in line:  # "[LOST 3 EVENTS]": the statistics count these
                self._unread += 1

    def _set_probes(self, kthreads: bool) -> None:
        built_in = module.state(self._root) is Module.BUILT_IN
        owner = "" if built_in else module.NAME
        function = _CHAIN
        if not kthreads:
            function = kallsyms.first_there(self._root, (_TIMER, _WORK), owner) or _TIMER
        place = f"{owner}:{function}" if owner else function
        arguments = _arguments(self._root) if function == _TIMER else None
        if arguments is not None:
            with contextlib.suppress(OSError):  # $arg1 came with Linux 4.20
                self._trace.define(f"p:{self._begin} {place} {arguments}")
                self.detailed = True
        if not (self.detailed or self._tells_timers(place)):
            self._trace.define(f"p:{self._begin} {place}")
        self._trace.define(f"r:{self._end} {place}")

    def _tells_timers(self, place: str) -> bool:
        """Set the first probe so that it records which timer, or work item, is at work."""
        for argument, _ in tracefs.arguments():
            with contextlib.suppress(OSError):
                self._trace.define(f"p:{self._begin} {place} timer={argument}:x64")
                self._timers = set()
                return True
        return False


def parse(line: bytes) -> Optional[Mark]:
    """Return the mark in a line of a trace, None when the line is not about an estimation run."""
    match = _LINE.match(line)
    if match is None:
        return None
    run, inode = match.group("run"), match.group("inode")
    return Mark(
        match.group("event") == b"begin",
        trace_text.time_ns(match),
        int(match.group("cpu")),
        int(match.group("pid")),
        None if run is None else int(run) != 0,
        None if inode is None else int(inode),
        match.group("timer") or b"",
    )


def overwritten(stats: str) -> int:
    """Return how many hits had no room in the buffer of one CPU; `stats` is its stats file."""
    return sum(map(int, _LOST.findall(stats)))


def remove(root: str, pid: int) -> bool:
    """Remove the instance and the probes of a process; return False to be called again.

    While the process has its pipe open, nothing can be removed. While no probe may be changed,
    remove_leftovers() of a later process has to do it.
    """
    name = _INSTANCE.format(pid)
    try:
        folder = tracefs.mounted(root)
    except OSError:
        return True
    tracefs.remove(root, folder, name, [event.format(pid) for event in _EVENTS])
    left = os.path.exists(os.path.join(folder, "instances", name))
    return not left or tracefs.obstacle(root) is not None


def remove_leftovers(root: str) -> None:
    """Remove instances and probes of processes that no longer exist. Raises OSError."""
    for name in os.listdir(os.path.join(tracefs.mounted(root), "instances")):
        match = _OWNER.fullmatch(name)
        if match is not None and not os.path.exists(f"/proc/{match.group(1)}"):
            remove(root, int(match.group(1)))


def _arguments(root: str) -> Optional[str]:
    """Return the arguments to record at each tick of the timer; None if BTF does not show them.

    The probe gets the address of the timer. The timer is a member of struct netns_ipvs, which has
    the value of run_estimation and a pointer to the namespace. The namespace's `inum` is the inode
    number of its nsfs file.
    """
    try:
        members = btf.members(root, module.NAME, _STRUCTS)
        timer = members["netns_ipvs"]["est_timer"]
        run = members["netns_ipvs"]["sysctl_run_estimation"] - timer
        net = members["netns_ipvs"]["net"] - timer
        inode = members["net"]["ns"] + members["ns_common"]["inum"]
    except (OSError, KeyError, ValueError):
        return None
    return f"run={run:+}($arg1):s32 inode={inode:+}({net:+}($arg1)):u32"
