"""An ordinary user who does to a machine's other users what they can; runs neighbours_guest.py."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .machine import Machine
from .spaces import HELPER as SPACES_HELPER
from .spaces import MANY_TIMEOUT_S, UNIT, USER

HELPER = Path(__file__).with_name("neighbours_guest.py")
FOLDER = "/run/neighbours"

# By the names that neighbours_guest.py has for them: descriptors or namespaces.
ATTACKERS = {"descriptors": 1_500_000, "namespaces": 1500, "storm": 0}
# What systemd permits every user by default, and no limit of the number of processes.
_LIMITS = ("LimitNOFILE=524288", "TasksMax=infinity", "LimitNPROC=infinity")


def copy_scripts(machine: Machine, folder: str = FOLDER) -> None:
    """Copy what the attackers need into a folder of the guest."""
    for path in (HELPER, SPACES_HELPER):
        machine.copy_in(path, f"{folder}/{path.name}")


@contextmanager
def attacking(machine: Machine, name: str, count: int, folder: str = FOLDER) -> Iterator[None]:
    """Have an ordinary user attack; the scripts are in the folder."""
    limits = " ".join(f"--property={one}" for one in _LIMITS)
    machine.succeed(
        f"{UNIT} --unit=attack --service-type=notify --uid={USER} {limits} "
        + _script(folder, "attack", name, count),
        timeout=MANY_TIMEOUT_S,
    )
    try:
        yield
    finally:
        machine.succeed("systemctl stop attack || true", timeout=MANY_TIMEOUT_S)


def another(machine: Machine, unit: str, births: int, seconds: int) -> dict[str, Any]:
    """Return how long each of another user's namespaces was on, and a service's share of a CPU."""
    words = _script(FOLDER, "another", unit, births, seconds)
    found: dict[str, Any] = json.loads(machine.succeed(words, timeout=MANY_TIMEOUT_S))
    return found


def _script(folder: str, *words: object) -> str:
    return shlex.join(["python3", "-B", f"{folder}/{HELPER.name}", *map(str, words)])
