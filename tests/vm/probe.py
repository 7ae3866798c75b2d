"""Counts calls in the kernel and estimation runs, with a kprobe of the harness."""

import shlex
from pathlib import Path
from typing import Self

from .machine import Machine

HELPER = Path(__file__).with_name("probe_guest.py")
GUEST_HELPER = f"/run/{HELPER.name}"


class Calls:
    """Counts calls of a kernel function within its context; only one at a time on a machine."""

    def __init__(self, machine: Machine, place: str) -> None:
        """Take a function, as "MODULE:FUNCTION" where a module has it, loaded or not."""
        self.machine = machine
        self._start: tuple[str, ...] = ("start", place)

    def __enter__(self) -> Self:
        self.machine.copy_in(HELPER, GUEST_HELPER)
        self.machine.succeed(_command(*self._start))
        return self

    def __exit__(self, *_error: object) -> None:
        self.machine.succeed(_command("stop"))

    def count(self) -> int:
        """Return how many calls there have been."""
        return int(self.machine.succeed(_command("count")))

    def wait_for_one(self) -> None:
        """Wait until there has been at least one call."""
        self.machine.wait_until_succeeds(f"[ $({_command('count')}) -gt 0 ]")


class EstimationRuns(Calls):
    """Counts estimation runs that do work, in all namespaces; ip_vs has to be loaded at the start.

    A run is a tick of one namespace's timer, or, from Linux 6.2 on, one chain of estimators in a
    thread's tick, and some more when a thread begins: only 0 means the same everywhere.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, "")
        self._start = ("start_estimation_runs",)


def _command(*words: str) -> str:
    return shlex.join(["python3", "-ISB", GUEST_HELPER, *words])
