"""Reads the journal through journalctl(1), which every systemd has, with any Python."""

import subprocess
from typing import Iterator, Optional

from ipvsd.model import SERVICE, Exit, GuardError

# Selects entries of the service itself: journald sets this field, no other process can forge it.
_UNIT = f"_SYSTEMD_UNIT={SERVICE}.service"


def lines(since: Optional[str]) -> Iterator[str]:
    """Yield the service's entries as JSON, the oldest first; `since` is in journalctl's notation.

    Raises GuardError when there is no journalctl, when it may not read the journal, or when it
    does not understand the time.
    """
    command = ["journalctl", "--quiet", "--no-pager", "--output=json", _UNIT]
    if since is not None:
        command.append(f"--since={since}")
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
        )
    except OSError as error:
        raise GuardError(f"journalctl: {error.strerror}", Exit.CANNOT_TELL) from error
    with process:
        assert process.stdout is not None and process.stderr is not None
        yield from process.stdout
        reason = process.stderr.read().strip()
    if process.returncode == 0:
        return
    if "permission" in reason:
        advice = "Run it as root, or as a member of the group systemd-journal."
        raise GuardError(f"journalctl: {reason} {advice}", Exit.NOT_PERMITTED)
    # With a time, the user's time is the likely cause.
    code = Exit.CANNOT_TELL if since is None else Exit.USAGE
    raise GuardError(f"journalctl: {reason or f'ended with {process.returncode}'}", code)
