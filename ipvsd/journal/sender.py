"""Sends events to the journal as structured entries, or to another stderr as plain lines.

It uses the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/) and no library,
since nothing here may block: sd_journal_sendv(3) blocks as long as journald does not read.
"""

import contextlib
import os
import socket
from typing import Callable, Iterator, List, Mapping, TextIO

from ipvsd.journal.events import Event
from ipvsd.model import SERVICE
from ipvsd.text import printable, printable_line

SOCKET = "/run/systemd/journal/socket"

# Returns whether the event was accepted; if not, the caller has to retry later.
Send = Callable[[Event], bool]


@contextlib.contextmanager
def connected(environ: Mapping[str, str], stderr: TextIO, journald: str = SOCKET) -> Iterator[Send]:
    """Yield the function that sends an event: natively to journald if stderr leads there.

    Otherwise, and if journald cannot be reached, the function writes a line to stderr. The line has
    the prefix `<N>`, which journald turns into a priority (sd-daemon(3)), unless stderr is a
    terminal. The function raises OSError when neither works.
    """
    prefixed = not stderr.isatty()

    def print_line(event: Event) -> bool:
        prefix = f"<{int(event.kind.priority)}>" if prefixed else ""
        stderr.write(f"{prefix}{printable_line(event.message)}\n")
        stderr.flush()
        return True

    if not _leads_to_journal(environ, stderr):
        yield print_line
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as native:
        native.setblocking(False)

        def send_native(event: Event) -> bool:
            try:
                # The path is used each time, since journald may have been restarted.
                native.sendto(_entry(event), journald)
            except BlockingIOError:
                return False
            except OSError:
                return print_line(event)
            return True

        yield send_native


def _leads_to_journal(environ: Mapping[str, str], stderr: TextIO) -> bool:
    """Return whether stderr is the stream that $JOURNAL_STREAM names (systemd.exec(5))."""
    try:
        status = os.fstat(stderr.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def fields(event: Event) -> List[str]:
    """Return the fields of an event, as NAME=value; no value contains a newline."""
    sent = {
        "MESSAGE": printable_line(event.message),
        "MESSAGE_ID": event.kind.message_id,
        "PRIORITY": str(int(event.kind.priority)),
        "SYSLOG_IDENTIFIER": SERVICE,
        "IPVSD_EVENT": event.kind.word,
    }
    sent.update({name: printable(value) for name, value in event.fields.items()})
    return [f"{name}={value}" for name, value in sent.items()]


def _entry(event: Event) -> bytes:
    return "".join(f"{field}\n" for field in fields(event)).encode("utf-8")
