"""Runs the process that scans and visits: forks it, looks whether it hangs, replaces it."""

from typing import Any, Optional

from ipvsd.daemon.hang_watch import HangWatch, Verdict
from ipvsd.daemon.namespace_jobs import NamespaceJobs, Places
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import NS_PER_S, VISITS_PROCESS, Policy
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.progress import Progress
from ipvsd.system.worker import Done, Worker

# After something has hung, no file system that may hang is accessed for so long; after the next
# time for twice as long.
WARY_MIN_NS = 30 * NS_PER_S
WARY_MAX_NS = 600 * NS_PER_S


class NamespaceWorker:
    """The worker of the scanner, for one policy at a time."""

    def __init__(self, enforcer: Enforcer, root: str) -> None:
        """Fork nothing yet. Raises OSError."""
        self._enforcer = enforcer
        self._root = root
        self._jobs: Optional[NamespaceJobs] = None
        self._policy: Optional[Policy] = None
        self.process = Worker(self._do, VISITS_PROCESS)
        self._watch = HangWatch()
        self._hung_times = 0  # in a row
        self._wary_until_ns = 0

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self.process.busy

    @property
    def step(self) -> int:
        """The number of the visit that began last."""
        return self.process.progress.number

    @property
    def at(self) -> str:
        """The path that was accessed last in a scan or a search, empty if there is none."""
        return self.process.progress.text

    @property
    def next_look_ns(self) -> int:
        """When to call look(), while busy."""
        return self._watch.next_ns

    @property
    def is_wary(self) -> bool:
        """Whether no file system that may hang is accessed now.

        There is never more than one process that hangs and cannot be killed.
        """
        return bool(self.process.killed) or monotonic_ns() < self._wary_until_ns

    def submit(self, request: Any, policy: Policy, places: Places, suspect: bool = False) -> None:
        """Begin a job under a policy; `suspect` as in HangWatch. Raises OSError."""
        if self.process.killed:
            self.process.reap()
        if policy != self._policy:
            self.process.kill()
            self._policy = policy
        if not self.process.pid:
            ignored = self.process.killed
            self._jobs = NamespaceJobs(self._enforcer, policy, self._root, dict(places), ignored)
        self.process.submit(request)
        suspect = suspect or bool(self._hung_times)
        self._watch.begin(self.process.progress.steps, monotonic_ns(), suspect)

    def take(self) -> Optional[Done]:
        """Return the end of the job, None when it has not ended."""
        return self.process.take()

    def look(self) -> Verdict:
        """Kill the worker if it hangs or was stopped; return what was seen."""
        if not self.process.busy or monotonic_ns() < self._watch.next_ns:
            return Verdict.WAIT
        steps, state = self.process.progress.steps, self.process.state()
        verdict = self._watch.look(steps, state, monotonic_ns())
        if verdict is not Verdict.WAIT:
            self.process.kill()
        if verdict is Verdict.HANGS:
            wait_ns = min(WARY_MIN_NS << min(self._hung_times, 10), WARY_MAX_NS)
            self._wary_until_ns = monotonic_ns() + wait_ns
            self._hung_times += 1
        return verdict

    def trust(self, wary: bool) -> None:
        """Note that a scan did not hang; unless it was `wary`, what may hang was accessed."""
        self._hung_times = self._hung_times if wary else 0

    def dare(self) -> None:
        """Access what may hang again: ip_vs was loaded, or the configuration is another one."""
        self._wary_until_ns = 0

    def close(self) -> None:
        """End the process."""
        self.process.close()

    def _do(self, request: Any, progress: Progress) -> Any:
        """Do a job, in the child: with the jobs that there were when it was forked."""
        assert self._jobs is not None
        return self._jobs(request, progress)
