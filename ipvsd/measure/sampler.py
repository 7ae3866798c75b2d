"""Measures estimation runs, the estimating threads and round trips, all at the same time."""

from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from ipvsd.enforce.all_off import AllOff
from ipvsd.kernel import cpu_times, estimation_kthreads
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.kernel.estimation_runs import RunProbes
from ipvsd.measure.ping import Ping
from ipvsd.measure.statistics import Phase, Pings
from ipvsd.model import NS_PER_MS, NS_PER_S
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.system.terminal import Progress
from ipvsd.text import error_text

# How often runs are read from the buffer and progress is shown. Not at each run: waking up a
# thousand times a second would disturb the measurement.
_READ_INTERVAL_NS = 250 * NS_PER_MS


class Task(NamedTuple):
    """What to measure, and for how long."""

    duration_ns: int
    ping_host: Optional[str] = None
    interval_ns: int = 0


class Sampler:
    """Measures one phase after another; a signal ends the measurement with SystemExit."""

    def __init__(
        self,
        root: str,
        working_runs: Optional[RunProbes],
        progress: Progress,
        all_off: Optional[AllOff] = None,
    ) -> None:
        """Take over the probes, or None where kprobes are unavailable; close() removes them.

        Where the probes do not show which ticks did any work, `all_off` is what may tell it.
        """
        # Why runs may have been missed although the probes could be set; empty if they were not.
        self.why_blind = ""
        self._root = root
        self._runs = working_runs
        self._progress = progress
        self._all_off = all_off
        self._loop = Loop.of_command()

    def run(self, name: str, task: Task) -> Phase:
        """Measure one phase."""
        if self._all_off is not None:
            self._all_off.begin()
        self._take()  # runs that ended before this phase
        self._take_timers()
        lost = self._lost()
        before, busy = estimation_kthreads.run_times(self._root), cpu_times.read(self._root)
        ping = None
        if task.ping_host is not None:
            ping = Ping(task.ping_host, task.interval_ns, task.duration_ns)
        pings: Optional[Pings] = None
        began_ns = monotonic_ns()
        try:
            runs = self._watch(name, began_ns, began_ns + task.duration_ns, ping)
            ended_ns = monotonic_ns()
            pings = ping.stop() if ping is not None else None
        finally:
            if ping is not None:
                ping.abandon()
            self._progress.end()
        ran = _difference(before, estimation_kthreads.run_times(self._root))
        shares = cpu_times.busy_shares(busy, cpu_times.read(self._root))
        within = tuple(sample for sample in runs if sample.start_ns >= began_ns)
        if self._all_off is not None:
            self._all_off.end(self._take_timers())
            if self._all_off.proven:
                within = tuple(sample._replace(working=False) for sample in within)
        if self._runs is not None:
            self.why_blind = self.why_blind or self._runs.defect() or ""
        return Phase(
            name,
            began_ns,
            ended_ns,
            None if self._runs is None or self.why_blind else within,
            self._lost() - lost,
            ran or None,
            pings,
            shares or None,
        )

    def wait(self, what: str, duration_ns: int) -> None:
        """Wait for a time, or until a signal, which raises SystemExit."""
        now_ns = monotonic_ns()
        self._watch(what, now_ns, now_ns + duration_ns)
        self._progress.end()

    def close(self) -> str:
        """Remove the probes; signals end the process again.

        Return the folder in tracefs that has to stay behind, empty if none has.
        """
        self._progress.end()
        left = self._runs.close() if self._runs is not None else ""
        self._loop.close()
        return left

    def _watch(
        self, what: str, began_ns: int, until_ns: int, ping: Optional[Ping] = None
    ) -> List[EstimationRun]:
        runs: List[EstimationRun] = []
        while True:
            now_ns = monotonic_ns()
            if now_ns >= until_ns:
                return runs + self._take()
            left = f"{what}, {-(-(until_ns - now_ns) // NS_PER_S)} s left"
            self._progress.show(left, (now_ns - began_ns) / (until_ns - began_ns))
            self._loop.wait_on(min(until_ns, now_ns + _READ_INTERVAL_NS))
            if ping is not None:
                ping.read_clock()
            runs += self._take()

    def _take(self) -> List[EstimationRun]:
        return self._runs.take() if self._runs is not None else []

    def _take_timers(self) -> Optional[Set[bytes]]:
        return self._runs.take_timers() if self._runs is not None else None

    def _lost(self) -> int:
        return self._runs.lost() if self._runs is not None else 0


def open_probes(root: str, kthreads: bool) -> Tuple[Optional[RunProbes], str]:
    """Set the probes and return them, or None and why they are unavailable."""
    try:
        return RunProbes(root, kthreads), ""
    except OSError as error:
        return None, error_text(error)


def _difference(before: Dict[str, int], after: Dict[str, int]) -> Dict[str, int]:
    """Return how long each thread ran in between; a new thread of the same name counts from 0."""
    return {
        name: ran_ns - before.get(name, 0) if ran_ns >= before.get(name, 0) else ran_ns
        for name, ran_ns in after.items()
    }
