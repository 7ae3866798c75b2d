"""Decides when to look at the tasks that have caused births: that costs far less than a scan.

How long a scan takes is up to everybody who starts processes, and so it has a share of the CPU that
may be spent for long. A look costs the same on every host, and so it is never long until the next.
All times are monotonic nanoseconds.
"""

from typing import Dict, NamedTuple, Optional

from ipvsd.daemon.expected_births import LOOKED_NS, RETRIES_NS
from ipvsd.daemon.share import Share
from ipvsd.model import NS_PER_MS, NS_PER_S

# No birth waits for its look longer than this: the first estimation run comes 2 s after it.
WAIT_NS = 1200 * NS_PER_MS
# Any user can cause thousands of births a second.
TASKS_MAX = 256


class _Task(NamedTuple):
    """A task that has caused a birth."""

    born_ns: int
    reported_ns: int


class Looks:
    """The tasks to look at, each several times: a birth is reported before it can be found."""

    def __init__(self) -> None:
        # Of looks, and of all that the loop does when births wake it.
        self.share = Share(30, 3 * NS_PER_S, 4 * WAIT_NS)
        self._tasks: Dict[int, _Task] = {}
        self._due_ns: Optional[int] = None
        self._tries = 0
        self._began_ns = -WAIT_NS  # when the last look began

    def report(self, tasks: Dict[int, int], now_ns: int) -> None:
        """Look soon at these tasks, with the times of the births that they have caused.

        Each look also finds new mounts of the host, so that it can be of use without a task.
        """
        for task, born_ns in tasks.items():
            self._tasks.pop(task, None)
            self._tasks[task] = _Task(born_ns, now_ns)
        for task in list(self._tasks)[:-TASKS_MAX]:
            del self._tasks[task]  # a scan finds what they have made
        self._due_ns, self._tries = now_ns, 0

    def next_ns(self, now_ns: int) -> Optional[int]:
        """Return when the next look is due, None for never."""
        return None if self._due_ns is None else max(self._due_ns, self.ready_ns(now_ns))

    def ready_ns(self, now_ns: int) -> int:
        """Return when a look may begin: when its share is due, or has not been for long."""
        return min(self.share.ready_ns(now_ns), self._began_ns + WAIT_NS)

    def begin(self, now_ns: int) -> Dict[int, int]:
        """Begin a look; return the tasks to look at, with the times of their births."""
        self._began_ns, self._due_ns, looked = now_ns, None, self._tasks
        # Those that were reported long ago have their last look.
        self._tasks = {
            task: one for task, one in looked.items() if one.reported_ns + LOOKED_NS > now_ns
        }
        return {task: one.born_ns for task, one in looked.items()}

    def end(self, again: bool, cost_ns: int, now_ns: int) -> None:
        """Note what a look cost, and whether to look again since it has not found all."""
        self.share.spend(cost_ns, now_ns)
        if not again:
            self._tasks = {}
        if again and self._tasks and self._due_ns is None and self._tries < len(RETRIES_NS):
            self._due_ns = now_ns + RETRIES_NS[self._tries]
            self._tries += 1

    def clear(self) -> None:
        """Look at nothing: no namespace is to be visited."""
        self._tasks, self._due_ns = {}, None
