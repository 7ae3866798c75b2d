"""Run the daemon until a stop signal comes; ipvs-estoff-guard.service starts it."""

import argparse
import contextlib
import os

from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.config.parser import Config
from ipvsd.daemon import standby
from ipvsd.daemon.daemon import Daemon, Parts, new_loop
from ipvsd.enforce import steer_check
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.journal import sender
from ipvsd.journal.sender import Send
from ipvsd.kernel.uevents import Monitor
from ipvsd.model import Exit, GuardError
from ipvsd.status import runtime_dir
from ipvsd.system import sd_notify
from ipvsd.system.alive_file import WATCHDOG_NS, AliveFile
from ipvsd.system.event_loop import Loop
from ipvsd.system.mailbox import Mailbox

_STDERR = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything else from its configuration."""
    parser.add_argument(
        "--alive-file",
        metavar="FILE",
        help="write into FILE, in memory, until when the daemon counts as alive",
    )


def main(options: argparse.Namespace, _output: Output) -> Exit:
    """Build the parts and run; returns when a stop signal has come."""
    stderr = Mailbox("ipvsd-stderr", keeps_stderr=True)

    def write_elsewhere(line: bytes) -> bool:
        if not stderr.idle:
            return False
        stderr.post("stderr", _write, line)
        return True

    # Not sys.stderr, see system/streams.py: it would discard what stderr does not take.
    with sender.connected(os.environ, _STDERR, write_elsewhere) as send:
        try:
            with contextlib.closing(new_loop()) as loop:
                parts = _parts(options, send, stderr, loop)
                return Daemon(parts).run() if standby.lock(parts) else Exit.AS_WANTED
        except (OSError, RuntimeError, MemoryError) as error:  # no descriptors, processes or memory
            message = f"guard: cannot start now: {error}; systemd starts it again"
            raise GuardError(message, Exit.CANNOT_TELL) from error


def _write(line: bytes) -> None:
    """Write to stderr, in a child process, which may wait."""
    with contextlib.suppress(OSError):  # nothing is left to report that to
        os.write(_STDERR, line)


def _load(options: argparse.Namespace) -> Config:
    """Return the configuration. Raises GuardError, also if this kernel cannot do what it wants."""
    config = config_files.load(options.places)
    verdict = steer_check.verdict(config.policy, options.root)
    if verdict.refused:
        raise GuardError(verdict.refused, Exit.UNSUPPORTED)
    return config._replace(warnings=(*config.warnings, *verdict.notes))


def _parts(options: argparse.Namespace, send: Send, stderr: Mailbox, loop: Loop) -> Parts:
    alive = AliveFile(options.alive_file) if options.alive_file else None
    return Parts(
        loop=loop,
        enforcer=Enforcer(options.root),
        load_config=lambda: _load(options),
        places=options.places,
        folder=runtime_dir.RuntimeFolder(options.root),
        send=send,
        stderr=stderr,
        notifier=sd_notify.Notifier(os.environ, alive),
        watchdog_ns=sd_notify.watchdog_ns(os.environ) or (WATCHDOG_NS if alive else None),
        new_monitor=Monitor,
        root=options.root,
    )
