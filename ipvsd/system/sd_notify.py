"""Messages to systemd: readiness, status, watchdog."""

import os
from collections import deque
from typing import Any, Deque, Mapping, Optional

from ipvsd.model import Exit, GuardError
from ipvsd.text import printable_line

# For each part of a start: a look for namespaces, or some visits, until they are given up.
_PART_LIMIT_USEC = 60_000_000
# Messages that are kept for a manager that does not read just now: the newest.
_KEPT_MAX = 16


class Notifier:
    """The service manager's notification socket, or nothing where there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Connect to $NOTIFY_SOCKET if it is set.

        Raises GuardError when it is set and cannot be used: the service would be killed at its
        start time-out for a reason that nobody could see.
        """
        self._notifier: Any = None
        self._text = ""
        self._kept: Deque[str] = deque(maxlen=_KEPT_MAX)
        if not environ.get("NOTIFY_SOCKET"):
            return
        try:
            import sdnotify

            # Without its debug switch the library swallows every error.
            self._notifier = sdnotify.SystemdNotifier(debug=True)
        except ImportError as error:
            message = f"sdnotify cannot be imported ({error}); install the package python3-sdnotify"
            raise GuardError(message, Exit.CANNOT_TELL) from error
        except OSError as error:
            message = f"$NOTIFY_SOCKET: cannot talk to systemd: {error.strerror}"
            raise GuardError(message, Exit.CANNOT_TELL) from error
        # A service manager that does not read must not stop the loop.
        self._notifier.socket.setblocking(False)

    def ready(self, text: str) -> None:
        """Tell that start or reload is done, with the status sentence."""
        self._text = text
        self._send("READY=1", f"STATUS={text}")

    def status(self, text: str) -> None:
        """Tell the status sentence where it has changed."""
        if text != self._text:
            self._text = text
            self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """Tell that the loop has just proved to work."""
        self._send("WATCHDOG=1", keep=False)

    def reloading(self, now_ns: int) -> None:
        """Tell that the configuration is being read again (monotonic nanoseconds)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}")

    def extend_timeout(self) -> None:
        """Ask for more time for the start: a part of it is done (systemd 236 and newer)."""
        self._send(f"EXTEND_TIMEOUT_USEC={_PART_LIMIT_USEC}", keep=False)

    def stopping(self) -> None:
        """Tell that the daemon ends."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Give the socket back."""
        if self._notifier is not None:
            self._notifier.socket.close()
            self._notifier = None

    def _send(self, *lines: str, keep: bool = True) -> None:
        """Send a message; one to `keep` goes before the next one if it cannot be sent now."""
        if self._notifier is None:
            return
        text = "\n".join(map(printable_line, lines))
        # The library encodes as latin-1 and would fail on anything else.
        self._kept.append(text.encode("ascii", "backslashreplace").decode("ascii"))
        while self._kept:
            message = self._kept.popleft()  # whatever else is wrong with it, it is not in the way
            try:
                self._notifier.notify(message)
            except BlockingIOError:  # the manager is not reading just now
                self._kept.appendleft(message)
                break
        if self._kept and not keep:
            self._kept.pop()


def watchdog_ns(environ: Mapping[str, str]) -> Optional[int]:
    """Return the watchdog's time limit in nanoseconds, None when systemd watches not us."""
    usec = environ.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or int(usec) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) * 1000
