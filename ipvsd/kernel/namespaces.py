"""Network namespaces: identity of the one the guard runs in."""

import os

from ipvsd.core.model import Namespace

HOST_NAME = "host"


def own(root: str = "/") -> Namespace:
    """Return the namespace of the calling process, which is the one whose sysctls it sees."""
    try:
        status = os.stat(os.path.join(root, "proc/self/ns/net"))
    except OSError:  # a kernel without CONFIG_NET_NS: there is only one
        return Namespace(0, 0, HOST_NAME)
    return Namespace(status.st_dev, status.st_ino, HOST_NAME)
