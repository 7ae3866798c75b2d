"""Has the daemon read its configuration, and waits until the kernel shows the values."""

import contextlib
import os
import signal
import time
from typing import Any, Mapping

from ipvsd.config import files as config_files
from ipvsd.config.files import Places
from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import HELD_LIMIT_NS, AllNamespaces, check_all
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import NS_PER_S, Exit, Mode, Policy
from ipvsd.status import runtime_dir, severity

_CHECK_AGAIN_S = 0.1


def reload(daemon: Mapping[str, Any]) -> bool:
    """Have the daemon read its configuration; return whether it runs.

    `daemon` is the content of its status file. Not by systemctl: it may run without systemd.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(daemon["pid"]), signal.SIGHUP)
        return True
    return False


def apply_configuration(root: str, places: Places, limit_ns: int = HELD_LIMIT_NS) -> AllNamespaces:
    """Have the configuration's run_estimation set everywhere, by the daemon if one enforces.

    Returns the results when the values are as wanted, or after the time limit.
    """
    policy = about(config_files.load(places).policy, RUN_ESTIMATION)
    enforcer = Enforcer(root)
    daemon = runtime_dir.RuntimeFolder(root).daemon()
    if daemon is None or daemon["mode"] != Mode.ENFORCE.value or not reload(daemon):
        return check_all(enforcer, policy._replace(mode=Mode.ENFORCE), root, dry=False)
    return _await(enforcer, policy, root, limit_ns)


def _await(enforcer: Enforcer, policy: Policy, root: str, limit_ns: int) -> AllNamespaces:
    limit_s = time.monotonic() + limit_ns / NS_PER_S
    while True:
        now = check_all(enforcer, policy, root, dry=True)
        if severity.exit_code(now.keys) is not Exit.NOT_AS_WANTED or time.monotonic() > limit_s:
            return now
        time.sleep(_CHECK_AGAIN_S)
