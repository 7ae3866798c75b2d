"""Words to the running daemon."""

import contextlib
import os
import signal
from typing import Any, Mapping


def reload(daemon: Mapping[str, Any]) -> bool:
    """Have the daemon that wrote this state file read its configuration; whether it is there.

    Not by systemctl: the daemon need not run under systemd.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(daemon["pid"]), signal.SIGHUP)
        return True
    return False
