"""Guard until told to stop: the daemon, started by ipvs-estoff-guard.service."""

import argparse
import os

from ipvsd.commands.output import Output
from ipvsd.core.model import Exit
from ipvsd.daemon import Daemon, Parts
from ipvsd.guard import Guard
from ipvsd.host import conffiles, journal, notify, state
from ipvsd.kernel.uevents import Monitor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything from its configuration."""


def main(options: argparse.Namespace, _output: Output) -> Exit:
    """Build the parts and run; returns when a stop signal has come."""
    parts = Parts(
        guard=Guard(options.root),
        load_config=lambda: conffiles.load(options.places),
        folder=state.RuntimeFolder(options.root),
        send=journal.connect(os.environ),
        notifier=notify.Notifier(os.environ),
        watchdog_ns=notify.watchdog_ns(os.environ),
        new_monitor=Monitor,
        root=options.root,
    )
    return Daemon(parts).run()
