"""Passes of estimation, one after another, by kprobes of one's own.

Up to Linux 6.1 a pass is a run of estimation_timer(), one for each namespace every 2 seconds; at
run_estimation = 0 the timer ticks too, and returns at once. From 6.2 on it is a run of
ip_vs_chain_estimation(), by which kernel threads work off a chain of estimators (both in
net/netfilter/ipvs/ip_vs_est.c).
"""

import contextlib
import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from ipvsd.kernel import btf, module, tracefs
from ipvsd.kernel.tracefs import Instance
from ipvsd.model import EstimationRun, Module

# A process's own, so that several may measure at once, beside the guard's.
_INSTANCE = "ipvsd-measure-{}"
_EVENTS = ("ipvsd_measure/begin_{}", "ipvsd_measure/end_{}")
_OWNER = re.compile(r"ipvsd-measure-(\d+)")

_TIMER = "estimation_timer"
_CHAIN = "ip_vs_chain_estimation"
_STRUCTS = ("netns_ipvs", "net", "ns_common")

# For each CPU. A timer fills 200 bytes in 2 seconds. A thread takes up to an eighth of a
# CPU, in pieces of 100 us (705dd3444081): 1,250 of 100 bytes a second.
_TIMER_BUFFER_KB = 64
_CHAIN_BUFFER_KB = 256

_LINE = re.compile(
    tracefs.HEAD + rb"(?P<event>begin|end)_\d+: \([^)]*\)"
    rb"(?: run=(?P<run>-?\d{1,10}) inode=(?P<inode>\d{1,20}))?"
)
_LOST = re.compile(r"^(?:overrun|dropped events): (\d{1,20})$", re.M | re.ASCII)
# Of kprobe_profile: name, hits, misses.
_MISSED = re.compile(r"^ *(?P<name>\S+) +\d+ +(?P<missed>\d{1,20}) *$", re.M | re.ASCII)


class Mark(NamedTuple):
    """One line of the trace: a pass begins or ends."""

    begins: bool
    time_ns: int
    cpu: int
    pid: int  # of the thread, or of whatever the timer has interrupted
    working: Optional[bool]
    inode: Optional[int]


class RunProbes:
    """The probes, and the pipe that they tell through."""

    def __init__(self, root: str, kthreads: bool) -> None:
        """Set the probes; ip_vs is loaded. Raises OSError, having undone all of it."""
        self._root = root
        self._open: Dict[int, Mark] = {}
        self._unread = 0
        # Whether the passes that do no work can be told from others, and namespaces too.
        self.detailed = False
        _remove_leftovers(root)
        self._begin, self._end = (event.format(os.getpid()) for event in _EVENTS)
        name = _INSTANCE.format(os.getpid())
        buffer_kb = _CHAIN_BUFFER_KB if kthreads else _TIMER_BUFFER_KB
        self._trace = Instance(root, name, (self._begin, self._end), buffer_kb)
        try:
            self._set_probes(kthreads)
            self._pipe = self._trace.open()
            # The end first: a begin without an end would be taken for a pass under way.
            self._trace.enable(self._end)
            self._trace.enable(self._begin)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._pipe

    def take(self) -> List[EstimationRun]:
        """Return the passes that have ended, without waiting. Raises OSError."""
        samples = []
        for mark in self._marks(tracefs.drain(self._pipe)):
            # Whatever runs is on one CPU at a time; only the idle tasks share a number.
            key = mark.pid or -1 - mark.cpu
            if mark.begins:
                self._open[key] = mark
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

    def lost(self) -> int:
        """Return how many of the probes' hits so far are missing from the samples."""
        folder = os.path.join(self._trace.folder, "per_cpu")
        lost = self._unread
        for cpu in os.listdir(folder):
            lost += overwritten(self._trace.read(f"per_cpu/{cpu}/stats"))
        with open(os.path.join(self._trace.tracefs, "kprobe_profile"), encoding="ascii") as file:
            return lost + missed(file.read(), (self._begin, self._end))

    def close(self) -> None:
        """Remove the probes."""
        self._trace.close()

    def _marks(self, lines: Iterable[bytes]) -> Iterable[Mark]:
        for line in lines:
            mark = parse(line)
            if mark is not None:
                yield mark
            elif b" EVENTS]" not in line:  # those are in the statistics
                self._unread += 1

    def _set_probes(self, kthreads: bool) -> None:
        built_in = module.state(self._root) is Module.BUILT_IN
        place = ("" if built_in else f"{module.NAME}:") + (_CHAIN if kthreads else _TIMER)
        arguments = None if kthreads else _arguments(self._root)
        if arguments is not None:
            with contextlib.suppress(OSError):  # $arg1 came with Linux 4.20
                self._trace.define(f"p:{self._begin} {place} {arguments}")
                self.detailed = True
        if not self.detailed:
            self._trace.define(f"p:{self._begin} {place}")
        self._trace.define(f"r:{self._end} {place}")


def parse(line: bytes) -> Optional[Mark]:
    """Return what a line of a trace tells, None when it tells nothing of a pass."""
    match = _LINE.match(line)
    if match is None:
        return None
    run, inode = match.group("run"), match.group("inode")
    return Mark(
        match.group("event") == b"begin",
        tracefs.time_ns(match),
        int(match.group("cpu")),
        int(match.group("pid")),
        None if run is None else int(run) != 0,
        None if inode is None else int(inode),
    )


def missed(profile: str, events: Tuple[str, ...]) -> int:
    """Return how many hits the kernel has missed, read off kprobe_profile's text."""
    names = {event.rpartition("/")[2] for event in events}
    rows = _MISSED.finditer(profile)
    return sum(int(row.group("missed")) for row in rows if row.group("name") in names)


def overwritten(stats: str) -> int:
    """Return how many hits one CPU's buffer had no room for, read off its statistics."""
    return sum(map(int, _LOST.findall(stats)))


def remove(root: str, pid: int) -> bool:
    """Remove what a process that measures, or has measured, has left; whether nothing is left.

    As long as the process has its pipe open, all of it stays.
    """
    name = _INSTANCE.format(pid)
    try:
        folder = tracefs.mounted(root)
    except OSError:
        return True
    tracefs.remove(folder, name, [event.format(pid) for event in _EVENTS])
    return not os.path.exists(os.path.join(folder, "instances", name))


def _remove_leftovers(root: str) -> None:
    """Remove what processes have left that were killed; those that are in use cannot be removed."""
    for name in os.listdir(os.path.join(tracefs.mounted(root), "instances")):
        match = _OWNER.fullmatch(name)
        if match is not None and not os.path.exists(f"/proc/{match.group(1)}"):
            remove(root, int(match.group(1)))


def _arguments(root: str) -> Optional[str]:
    """What to note at each tick of the timer; None where nothing tells where it is.

    The timer is a member of the structure that has the value, and leads to the namespace, whose
    number is that of its nsfs file.
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
