"""The journal: structured entries where stderr is the journal, plain lines elsewhere."""

import os
import sys
from typing import Callable, List, Mapping, TextIO

from ipvsd.core.events import Event
from ipvsd.core.model import SERVICE
from ipvsd.core.text import printable, printable_line

Send = Callable[[Event], None]


def connect(environ: Mapping[str, str], stderr: TextIO = sys.stderr) -> Send:
    """Return the function that sends an event: natively to journald if stderr leads there.

    Without the library (package python3-systemd) the lines go to stderr with the `<N>`
    prefixes that journald turns into priorities (sd-daemon(3)).
    """
    prefixed = not stderr.isatty()

    def print_line(event: Event) -> None:
        prefix = f"<{int(event.kind.priority)}>" if prefixed else ""
        stderr.write(f"{prefix}{printable_line(event.message)}\n")
        stderr.flush()

    if not _leads_to_journal(environ, stderr):
        return print_line
    try:
        from systemd.journal import sendv
    except ImportError:
        return print_line

    def send_native(event: Event) -> None:
        try:
            sendv(*fields(event))
        except OSError:
            print_line(event)

    return send_native


def _leads_to_journal(environ: Mapping[str, str], stderr: TextIO) -> bool:
    """Whether stderr is the stream that $JOURNAL_STREAM names, as systemd.exec(5) tells to ask."""
    try:
        status = os.fstat(stderr.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def fields(event: Event) -> List[str]:
    """Return an event as the journal's library takes it: NAME=value, in characters that it can."""
    sent = {
        "MESSAGE": printable_line(event.message),
        "MESSAGE_ID": event.kind.message_id,
        "PRIORITY": str(int(event.kind.priority)),
        "SYSLOG_IDENTIFIER": SERVICE,
        "IPVSD_EVENT": event.kind.word,
    }
    sent.update({name: printable(value) for name, value in event.fields.items()})
    return [f"{name}={value}" for name, value in sent.items()]
