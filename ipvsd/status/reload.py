"""Words to the running daemon."""

import contextlib
import os
import signal
import time
from typing import Any, Mapping

from ipvsd.config import files as config_files
from ipvsd.config.files import Places
from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import AllNamespaces, check_all
from ipvsd.enforce.decide import HOLD_MAX_NS
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.model import NS_PER_S, Exit, Mode, Policy
from ipvsd.status import runtime_dir, severity


def reload(daemon: Mapping[str, Any]) -> bool:
    """Have the daemon that wrote this state file read its configuration; whether it is there.

    Not by systemctl: the daemon need not run under systemd.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(daemon["pid"]), signal.SIGHUP)
        return True
    return False


def apply_configuration(root: str, places: Places) -> AllNamespaces:
    """Have the configuration's run_estimation set everywhere, by the daemon if one does that.

    Returns how the namespaces stand then, or when waiting any longer makes no sense.
    """
    policy = about(config_files.load(places).policy, RUN_ESTIMATION)
    guard = Enforcer(root)
    daemon = runtime_dir.RuntimeFolder(root).daemon()
    if daemon is None or daemon["mode"] != Mode.ENFORCE.value or not reload(daemon):
        return check_all(guard, policy._replace(mode=Mode.ENFORCE), root, dry=False)
    return _await(guard, policy, root)


def _await(guard: Enforcer, policy: Policy, root: str) -> AllNamespaces:
    limit_s = time.monotonic() + _LIMIT_NS / NS_PER_S
    while True:
        now = check_all(guard, policy, root, dry=True)
        if severity.exit_code(now.keys) is not Exit.NOT_AS_WANTED or time.monotonic() > limit_s:
            return now
        time.sleep(_LOOK_AGAIN_S)


# The daemon sets what it is told at once, or, on kernels with kthreads, after a hold.
_LIMIT_NS = HOLD_MAX_NS + 10 * NS_PER_S


_LOOK_AGAIN_S = 0.1
