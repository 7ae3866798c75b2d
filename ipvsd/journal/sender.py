"""Sends events to the journal as structured entries, or to another stderr as plain lines.

Nothing here may block. The journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)
is used without a library, since sd_journal_sendv(3) blocks as long as journald does not read.
"""

import contextlib
import os
import select
import socket
import stat
from typing import Callable, Iterator, List, Mapping

from ipvsd.journal.events import Event
from ipvsd.model import SERVICE
from ipvsd.text import printable, printable_line

SOCKET = "/run/systemd/journal/socket"

# Returns whether the event was accepted; if not, the caller has to retry later.
Send = Callable[[Event], bool]
# Takes bytes for stderr, which has no moment at which it surely does not block.
WriteElsewhere = Callable[[bytes], bool]


@contextlib.contextmanager
def connected(
    environ: Mapping[str, str],
    stderr: int,
    write_elsewhere: WriteElsewhere,
    journald: str = SOCKET,
) -> Iterator[Send]:
    """Yield the function that sends an event: natively to journald if stderr leads there.

    Otherwise, and if journald cannot be reached, the function writes a line to stderr. Where stderr
    leads to journald, the line has the prefix `<N>`, which journald turns into a priority
    (sd-daemon(3)). The function raises OSError when neither works.
    """
    to_journal = _leads_to_journal(environ, stderr)
    with contextlib.closing(_Stderr(stderr, to_journal, write_elsewhere)) as lines:
        if not to_journal:
            yield lines.print
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
                    return lines.print(event)
                return True

            yield send_native


class _Stderr:
    """Stderr, to which lines are written only as far as it takes them at once."""

    def __init__(self, descriptor: int, prefixed: bool, write_elsewhere: WriteElsewhere) -> None:
        self._prefixed = prefixed
        self._descriptor = descriptor
        self._opened = -1
        self._rest = b""  # of a line that has been written in part
        self._write = self._write_if_ready
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
            # poll(2) always finds it ready, and a write waits as long as its file system is frozen.
            self._write = lambda line: len(line) if write_elsewhere(line) else 0
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            self._open_anew()

    def print(self, event: Event) -> bool:
        """Write an event as a line; return whether it was accepted. Raises OSError."""
        if self._rest:
            self._rest = self._rest[self._write(self._rest) :]
        if self._rest:
            return False
        prefix = f"<{int(event.kind.priority)}>" if self._prefixed else ""
        text = f"{prefix}{printable_line(event.message)}".encode("utf-8", "backslashreplace")
        line = text[: select.PIPE_BUF - 1] + b"\n"  # of so many bytes, a pipe takes all or none
        written = self._write(line)
        self._rest = line[written:] if written else b""
        return bool(written)

    def close(self) -> None:
        """Close what was opened."""
        if self._opened >= 0:
            os.close(self._opened)

    def _open_anew(self) -> None:
        """Open a pipe or terminal once more: O_NONBLOCK is set for all who share a descriptor."""
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # it may belong to another user
            self._opened = os.open(f"/proc/self/fd/{self._descriptor}", flags)
            self._write = self._write_opened

    def _write_opened(self, line: bytes) -> int:
        try:
            return os.write(self._opened, line)
        except BlockingIOError:
            return 0

    def _write_if_ready(self, line: bytes) -> int:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return os.write(self._descriptor, line) if poll.poll(0) else 0


def _leads_to_journal(environ: Mapping[str, str], stderr: int) -> bool:
    """Return whether stderr is the stream that $JOURNAL_STREAM names (systemd.exec(5))."""
    status = os.fstat(stderr)
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
