"""Run the daemon until a stop signal comes; ipvs-estoff-guard.service starts it."""

import argparse
import contextlib
import os

from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.config.parser import Config
from ipvsd.daemon.daemon import Daemon, Parts
from ipvsd.enforce import steer_check
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.journal import sender
from ipvsd.journal.sender import Send
from ipvsd.kernel.uevents import Monitor
from ipvsd.model import Exit, GuardError
from ipvsd.status import runtime_dir
from ipvsd.system import sd_notify
from ipvsd.system.mailbox import Mailbox

_STDERR = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything from its configuration."""


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
            return Daemon(_parts(options, send, stderr)).run()
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


def _parts(options: argparse.Namespace, send: Send, stderr: Mailbox) -> Parts:
    return Parts(
        enforcer=Enforcer(options.root),
        load_config=lambda: _load(options),
        places=options.places,
        folder=runtime_dir.RuntimeFolder(options.root),
        send=send,
        stderr=stderr,
        notifier=sd_notify.Notifier(os.environ),
        watchdog_ns=sd_notify.watchdog_ns(os.environ),
        new_monitor=Monitor,
        root=options.root,
    )
