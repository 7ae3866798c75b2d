"""Reads the journal through journalctl(1), which every systemd has, whatever Python is there."""

import subprocess
from typing import Iterator, Optional

from ipvsd.model import SERVICE, Exit, GuardError

# What the service itself has said: this field is journald's, no other process can forge it.
_UNIT = f"_SYSTEMD_UNIT={SERVICE}.service"


def lines(since: Optional[str]) -> Iterator[str]:
    """Yield the service's entries as JSON, the oldest first, from a time on as journalctl has it.

    Raises GuardError when there is no journalctl, it may read nothing, or it does not understand
    the time.
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
        said = process.stderr.read().strip()
    if process.returncode == 0:
        return
    if "permission" in said:
        message = f"journalctl: {said} Be root, or in the group systemd-journal."
        raise GuardError(message, Exit.NOT_PERMITTED)
    # The time is all that the user has a say in.
    code = Exit.CANNOT_TELL if since is None else Exit.USAGE
    raise GuardError(f"journalctl: {said or process.returncode}", code)
