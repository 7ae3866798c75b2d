"""Has a child process do what can block, such as writing a file; the caller never waits.

Of two tasks with the same name the newer one counts. A child that hangs is not killed: what hangs
in a frozen file system cannot be killed, another child would hang too, and the first one goes on
when the file system does.
"""

import select
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Tuple

from ipvsd.model import NS_PER_S
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.progress import Progress
from ipvsd.system.worker import Done, Worker
from ipvsd.text import error_text

# A task that takes longer is late, and is reported.
LATE_NS = 5 * NS_PER_S
_STEPS_OF_SUBMIT = 1


class Task(NamedTuple):
    """A function of a module, for the child to call; its arguments and result are pickled."""

    function: Callable[..., Any]
    arguments: Tuple[Any, ...]


class Mailbox:
    """Tasks for one child process, each with a name; results come back with the names."""

    def __init__(self, process: str, keeps_stderr: bool = False) -> None:
        """Take the name of the process (15 bytes), which the first task starts. Raises OSError."""
        self.worker = Worker(_do, process, keeps_stderr)  # for Loop.follow()
        self._waiting: Dict[str, Task] = {}
        self._underway: List[str] = []
        self._results: List[Tuple[str, Done]] = []
        self._first_step = self._step = 0
        self._step_ns = 0  # when the task that is done now began, at the earliest

    @property
    def idle(self) -> bool:
        """Whether all tasks have been done, and take() has returned their results."""
        return not (self._waiting or self._underway or self._results)

    @property
    def left(self) -> List[str]:
        """The tasks that have not been done."""
        return list(dict.fromkeys([*self._underway, *self._waiting]))

    def post(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a task done, instead of one with the same name that waits."""
        self._waiting[name] = Task(function, arguments)
        self._begin()

    def take(self) -> List[Tuple[str, Done]]:
        """Return the results that are new, with the names of the tasks; begin what waits."""
        done = self.worker.take()
        if done is not None:
            names, self._underway = self._underway, []
            found = done.result or {}
            ends = [Done(*found.get(name, (None, done.error))) for name in names]
            self._results += list(zip(names, ends))
            self._begin()
        results, self._results = self._results, []
        return results

    def late(self, now_ns: int) -> Tuple[str, int]:
        """Return the task that is late, and for how long it has been done; ("", 0) if none is."""
        if not self._underway:
            return "", 0
        steps = self.worker.progress.steps
        if steps != self._step:
            self._step, self._step_ns = steps, now_ns
        at = max(0, steps - self._first_step - 1)
        took_ns = now_ns - self._step_ns
        return (self._underway[at], took_ns) if took_ns >= LATE_NS else ("", 0)

    @property
    def deadline_ns(self) -> int:
        """When the task at hand is late; 0 if there is none."""
        return self._step_ns + LATE_NS if self._underway else 0

    def drop(self, name: str) -> bool:
        """Forget a task that waits; return whether the child was late with it, and was killed.

        At most one child is left that has been killed and does not end.
        """
        self._waiting.pop(name, None)
        if self.late(monotonic_ns())[0] != name or self.worker.reap():
            return False
        self.worker.kill()
        self._underway = []
        self._begin()
        return True

    def close(self) -> None:
        """End the child; what has not been done is lost. See finish()."""
        self.worker.close()

    def _begin(self) -> None:
        if self._underway or not self._waiting:
            return
        tasks, self._waiting = list(self._waiting.items()), {}
        names = [name for name, _ in tasks]
        self._first_step = self._step = self.worker.progress.steps + _STEPS_OF_SUBMIT
        try:
            self.worker.submit(tasks)
        except OSError as error:  # there is no room for another process
            self._results += [(name, Done(error=error_text(error))) for name in names]
            return
        self._underway = names
        self._step_ns = monotonic_ns()


def finish(boxes: Iterable[Mailbox], limit_ns: int, go_on: Callable[[], None]) -> None:
    """Wait until all tasks have been done, or a limit is over; `go_on` has to call take()."""
    until_ns = monotonic_ns() + limit_ns
    while True:
        go_on()
        workers = [box.worker for box in boxes if not box.idle]
        left_ns = until_ns - monotonic_ns()
        if not workers or left_ns <= 0:
            return
        select.select(workers, [], [], left_ns / 1e9)


def _do(tasks: List[Tuple[str, Task]], progress: Progress) -> Dict[str, Tuple[Any, str]]:
    results: Dict[str, Tuple[Any, str]] = {}
    for name, (function, arguments) in tasks:
        progress.step()
        try:
            results[name] = function(*arguments), ""
        except Exception as error:
            results[name] = None, f"{name}: {error!r}"
    return results
