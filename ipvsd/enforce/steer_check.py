"""Reads from the kernel whether estimation can be steered as the configuration wants it."""

import os

from ipvsd.config import steering
from ipvsd.config.steering import Kernel, Verdict
from ipvsd.kernel import ipvs, module
from ipvsd.model import Policy

_CPU = "sys/devices/system/cpu"
_NONE = ("", "(null)")  # how the kernel shows an empty list


def verdict(policy: Policy, root: str) -> Verdict:
    """Return whether the running kernel can steer, and what is to be said about it."""
    if policy.steer is None:
        return Verdict()
    loaded = module.state(root).loaded
    dialect = ipvs.dialect(root) if loaded else None
    isolated, nohz_full = (_cpus(root, name) for name in ("isolated", "nohz_full"))
    return steering.judge(policy, Kernel(loaded, dialect, isolated, nohz_full))


def _cpus(root: str, name: str) -> str:
    """Return a list of CPUs, empty without any, or where the kernel does not show it."""
    try:
        with open(os.path.join(root, _CPU, name), encoding="ascii") as file:
            text = file.read().strip()
    except (OSError, ValueError):
        return ""
    return "" if text in _NONE else text
