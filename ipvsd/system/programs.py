"""Runs child processes, for commands only: the daemon starts none."""

import os
import subprocess
from typing import Optional, Sequence

# systemctl and journalctl answer within a second; one that takes longer hangs, and is killed.
_TIMEOUT_S = 10


def output(command: Sequence[str]) -> Optional[str]:
    """Return the output of a program; None if it does not exist, fails or does not end in time."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, LC_ALL="C"),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


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
