"""The journal: structured entries where stderr is the journal, plain lines elsewhere.

By its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/) and not by a library, since
nothing here may wait: sd_journal_sendv(3) does, for as long as journald does not read.
"""

import os
import socket
import struct
import sys
from typing import Callable, Mapping, TextIO

from ipvsd.core.events import Event
from ipvsd.core.model import SERVICE

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
        stderr.write(f"{prefix}{event.message}\n")
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


def _entry(event: Event) -> bytes:
    fields = {
        "MESSAGE": event.message,
        "MESSAGE_ID": event.kind.message_id,
        "PRIORITY": str(int(event.kind.priority)),
        "SYSLOG_IDENTIFIER": SERVICE,
        "IPVSD_EVENT": event.kind.word,
    }
    fields.update(event.fields)
    return b"".join(_field(name.encode("ascii"), value) for name, value in fields.items())


def _field(name: bytes, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:  # which would end the field, and let the rest pass for another one
        return b"%s\n%s%s\n" % (name, struct.pack("<Q", len(data)), data)
    return b"%s=%s\n" % (name, data)
