"""Writes into a file until when the daemon counts as alive, for health checks of containers.

A check needs the file only: it reads one number, and imports nothing of the guard
(packaging/container/ipvsd-alive).
"""

import os
import time

from ipvsd.model import NS_PER_S, Exit, GuardError

# The daemon's cycles follow each other at least as often as this watchdog asks for. A renewal
# counts for twice the time, so that one late cycle is no reason to restart a container.
WATCHDOG_NS = 60 * NS_PER_S
_COUNTS_NS = 2 * WATCHDOG_NS


class AliveFile:
    """One number, the end of the time that counts, on the clock CLOCK_MONOTONIC."""

    def __init__(self, path: str) -> None:
        """Create the file, empty. It has to be in memory (tmpfs), where no write waits.

        Raises GuardError.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            message = f"{path}: {error.strerror}; --alive-file needs a folder that can be written"
            raise GuardError(message, Exit.USAGE) from error

    def renew(self) -> None:
        """Let the daemon count as alive from now on, for two minutes."""
        until_ns = int(time.monotonic() * 1e9) + _COUNTS_NS
        os.pwrite(self._descriptor, b"%020d\n" % until_ns, 0)
