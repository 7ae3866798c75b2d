"""Sends messages to systemd: readiness, status, watchdog; the last one to a file too."""

import os
from collections import deque
from typing import Any, Deque, Mapping, Optional

from ipvsd.model import Exit, GuardError
from ipvsd.system.alive_file import AliveFile
from ipvsd.text import printable_line

# Time limit for each part of a start: a scan for namespaces, or some visits.
_PART_LIMIT_USEC = 60_000_000
# How many messages, the newest, are kept while the service manager does not read.
_KEPT_MAX = 16


class Notifier:
    """The notification socket of the service manager; without one, all methods do nothing.

    The watchdog may have a file too, for where no service manager is, as in a container.
    """

    def __init__(self, environ: Mapping[str, str], alive: Optional[AliveFile] = None) -> None:
        """Connect to $NOTIFY_SOCKET if it is set.

        Raises GuardError when it is set and cannot be used: otherwise systemd would kill the
        service at its start time-out, and nothing would show why.
        """
        self._notifier: Any = None
        self._alive = alive
        self._text = ""
        self._kept: Deque[str] = deque(maxlen=_KEPT_MAX)
        if not environ.get("NOTIFY_SOCKET"):
            return
        try:
            import sdnotify

            # Without its debug switch the library swallows every error.
            self._notifier = sdnotify.SystemdNotifier(debug=True)
        except ImportError as error:
            install = "install the package python3-sdnotify"
            message = f"sdnotify: cannot be imported ({error}); {install}"
            raise GuardError(message, Exit.CANNOT_TELL) from error
        except OSError as error:
            message = f"$NOTIFY_SOCKET: cannot be used to notify systemd: {error.strerror}"
            raise GuardError(message, Exit.CANNOT_TELL) from error
        # A service manager that does not read must not stop the loop.
        self._notifier.socket.setblocking(False)

    def ready(self, text: str) -> None:
        """Report that the start or a reload is complete, with the status sentence."""
        self._text = text
        self._send("READY=1", f"STATUS={text}")

    def status(self, text: str) -> None:
        """Send the status sentence if it has changed."""
        if text != self._text:
            self._text = text
            self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """Feed the watchdog, after a complete cycle of the loop."""
        if self._alive is not None:
            self._alive.renew()
        self._send("WATCHDOG=1", keep=False)

    def reloading(self, now_ns: int) -> None:
        """Report that the configuration is being read again; `now_ns` is monotonic."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}")

    def extend_timeout(self) -> None:
        """Request more time for the start, after a part of it (systemd 236 and newer)."""
        self._send(f"EXTEND_TIMEOUT_USEC={_PART_LIMIT_USEC}", keep=False)

    def stopping(self) -> None:
        """Report that the daemon ends."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._notifier is not None:
            self._notifier.socket.close()
            self._notifier = None

    def _send(self, *lines: str, keep: bool = True) -> None:
        """Send a message; if the manager is not reading, `keep` it to be sent before the next."""
        if self._notifier is None:
            return
        text = "\n".join(map(printable_line, lines))
        # The library encodes as latin-1 and would fail on anything else.
        self._kept.append(text.encode("ascii", "backslashreplace").decode("ascii"))
        while self._kept:
            message = self._kept.popleft()  # a message that cannot be sent must not block others
            try:
                self._notifier.notify(message)
            except BlockingIOError:  # the manager is not reading just now
                self._kept.appendleft(message)
                break
        if self._kept and not keep:
            self._kept.pop()


def watchdog_ns(environ: Mapping[str, str]) -> Optional[int]:
    """Return the watchdog's time limit in nanoseconds, None if systemd watches another process."""
    usec = environ.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or int(usec) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) * 1000
