"""Waits while another daemon guards this host, and takes over when that one has ended."""

from ipvsd.daemon.daemon import STOP_SIGNALS, Parts
from ipvsd.journal import events
from ipvsd.journal.events import Kind
from ipvsd.journal.unsent import Unsent
from ipvsd.model import NS_PER_S
from ipvsd.system.event_loop import monotonic_ns

# A try costs less than 50 us.
_EVERY_NS = NS_PER_S


def lock(parts: Parts) -> bool:
    """Take the lock; while another daemon holds it, log that once and wait.

    Return False when a stop signal has come meanwhile. Two daemons meet where the host has the
    package and a container too. The service manager gets READY=1 from the one that waits: the host
    is guarded, and a start that fails would be repeated each second. Raises GuardError, also for a
    configuration that would be refused later.
    """
    if parts.folder.lock():
        return True
    parts.load_config()
    other = parts.folder.daemon()
    who = "another ipvsd" + (f" (pid {other['pid']})" if other is not None else "")
    message = f"{parts.folder.path('lock')}: {who} guards this host; this one waits until it ends"
    unsent = Unsent(parts.send)
    unsent.log(events.plain(Kind.STANDBY, message))
    parts.notifier.ready(f"Waiting: {who} guards this host")
    while not parts.folder.lock():
        parts.notifier.watchdog()
        unsent.log()
        if parts.loop.wait(monotonic_ns() + _EVERY_NS).signals & STOP_SIGNALS:
            parts.notifier.stopping()
            return False
    return True
