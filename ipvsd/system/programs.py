"""Child processes, for commands only: the daemon makes none."""

import os
import subprocess
from typing import Optional, Sequence

# systemctl and journalctl answer in a second; what takes longer hangs, and is done without.
_TIMEOUT_S = 10


def output(command: Sequence[str]) -> Optional[str]:
    """Return what a program prints; None if it is not there, fails or does not come to an end."""
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
    """Return what `systemctl show` prints of a unit: systemd has no other interface this small."""
    return output(["systemctl", "show", "--property=" + ",".join(names), unit])


def kernel_messages(count: int) -> Optional[str]:
    """Return the last messages of the kernel and of the audit since boot, one a line.

    None if the journal cannot be read.
    """
    transports = ["_TRANSPORT=audit", "+", "_TRANSPORT=kernel"]
    options = ["--boot", "--quiet", "--no-pager", "--output=cat", f"--lines={count}"]
    return output(["journalctl", *options, *transports])
