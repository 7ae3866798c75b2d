"""Runs child processes, for commands only: the daemon starts none."""

import os
import subprocess
from typing import NamedTuple, Optional, Sequence

# systemctl and journalctl answer within a second; one that takes longer hangs, and is killed.
_TIMEOUT_S = 10
# Commands of ipvsd enter each namespace, and some watch the kernel for seconds.
_LONG_TIMEOUT_S = 120


def output(command: Sequence[str]) -> Optional[str]:
    """Return the output of a program; None if it does not exist, fails or does not end in time."""
    try:
        done = _completed(command, subprocess.DEVNULL, "C", _TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


class Ended(NamedTuple):
    """How a program ended: its exit code, or None; and what it printed, or why it did not run."""

    code: Optional[int]
    text: str


def run(command: Sequence[str]) -> Ended:
    """Run a program that may fail, and return how it ended; one that hangs is killed."""
    try:
        done = _completed(command, subprocess.STDOUT, "C.UTF-8", _LONG_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        text = (error.stdout or b"").decode("utf-8", "replace")
        return Ended(None, f"{text}(killed after {_LONG_TIMEOUT_S} s)")
    except OSError as error:
        return Ended(None, error.strerror or str(error))
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"))


def _completed(
    command: Sequence[str], stderr: int, locale: str, timeout_s: int
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=dict(os.environ, LC_ALL=locale),
        timeout=timeout_s,
        check=False,
    )


def unit_properties(unit: str, names: Sequence[str]) -> Optional[str]:
    """Return what `systemctl show` prints for a unit: the smallest interface that systemd has."""
    return output(["systemctl", "show", "--property=" + ",".join(names), unit])


def kernel_messages(count: int) -> Optional[str]:
    """Return the last messages of the kernel and of the audit system since boot, one a line.

    None if the journal cannot be read.
    """
    transports = ["_TRANSPORT=audit", "+", "_TRANSPORT=kernel"]
    options = ["--boot", "--quiet", "--no-pager", "--output=cat", f"--lines={count}"]
    return output(["journalctl", *options, *transports])
