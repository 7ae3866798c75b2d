"""Decides whether a worker process hangs: one that is only slow makes progress."""

from enum import Enum

from ipvsd.model import NS_PER_S

# Between two looks at a worker; one that comes late, after a pause of the machine, is still one.
LOOK_NS = NS_PER_S
# So many looks in a row without progress end a job, or fewer where one has hung before.
LOOKS_MAX = 10
LOOKS_AGAIN_MAX = 2
# In the kernel's words (proc(5), stat): it waits for something, but not for a CPU.
_WAITS = ("D", "S")
_RUNS = "R"
# A worker without a CPU does nothing wrong, but the other namespaces cannot wait without a limit.
STARVED_LOOKS_MAX = 60


class Verdict(Enum):
    """What to do about a worker."""

    WAIT = "wait"
    HANGS = "hangs"  # in the step that it began last
    REPLACE = "replace"  # it was stopped, or gets no CPU: its steps are not to blame


class HangWatch:
    """Looks at one job after the other; all times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self.next_ns = 0  # when to look next
        self._steps = 0
        self._waiting = self._other = 0  # looks in a row without progress
        self._looks_max = LOOKS_MAX

    def begin(self, steps: int, now_ns: int, suspect: bool) -> None:
        """Note that a job begins, a `suspect` one if it may hang as one did before."""
        self._looks_max = LOOKS_AGAIN_MAX if suspect else LOOKS_MAX
        self._saw_progress(steps, now_ns)

    def look(self, steps: int, state: str, now_ns: int) -> Verdict:
        """Return what to do about a worker with so many steps, in a state of proc(5)."""
        if now_ns < self.next_ns:
            return Verdict.WAIT
        if steps != self._steps:
            self._saw_progress(steps, now_ns)
            return Verdict.WAIT
        self.next_ns = now_ns + LOOK_NS
        if state in _WAITS:
            self._waiting += 1
        else:
            self._other += 1
        if self._waiting >= self._looks_max:
            return Verdict.HANGS
        other_max = STARVED_LOOKS_MAX if state == _RUNS else LOOKS_MAX
        return Verdict.REPLACE if self._other >= other_max else Verdict.WAIT

    def _saw_progress(self, steps: int, now_ns: int) -> None:
        self._steps, self.next_ns = steps, now_ns + LOOK_NS
        self._waiting = self._other = 0
