"""The journal: structured entries where stderr is the journal, plain lines elsewhere.

By its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/) and not by a library, since
nothing here may wait: sd_journal_sendv(3) does, for as long as journald does not read.
"""

import os
import socket
import sys
from typing import Callable, List, Mapping, TextIO

from ipvsd.journal.events import Event
from ipvsd.model import SERVICE
from ipvsd.text import printable, printable_line

SOCKET = "/run/systemd/journal/socket"

# Returns whether the event was taken; if not, it is to be sent again later.
Send = Callable[[Event], bool]


def connect(
    environ: Mapping[str, str], stderr: TextIO = sys.stderr, journald: str = SOCKET
) -> Send:
    """Return the function that sends an event: natively to journald if stderr leads there.

    Elsewhere, and where journald cannot be reached, it is a line with the `<N>` prefix that
    journald turns into a priority (sd-daemon(3)). The function raises OSError when neither works.
    """
    prefixed = not stderr.isatty()

    def print_line(event: Event) -> bool:
        prefix = f"<{int(event.kind.priority)}>" if prefixed else ""
        stderr.write(f"{prefix}{printable_line(event.message)}\n")
        stderr.flush()
        return True

    if not _leads_to_journal(environ, stderr):
        return print_line
    native = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    native.setblocking(False)

    def send_native(event: Event) -> bool:
        try:
            # By name each time: journald may have been started anew.
            native.sendto(_entry(event), journald)
        except BlockingIOError:
            return False
        except OSError:
            return print_line(event)
        return True

    return send_native


def _leads_to_journal(environ: Mapping[str, str], stderr: TextIO) -> bool:
    """Whether stderr is the stream that $JOURNAL_STREAM names, as systemd.exec(5) tells to ask."""
    try:
        status = os.fstat(stderr.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def fields(event: Event) -> List[str]:
    """Return an event as the journal takes it, NAME=value: no character in it ends a field."""
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
