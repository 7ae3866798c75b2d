"""State of the ip_vs module, from /sys/module/ip_vs."""

import os
from typing import Optional

from ipvsd.model import Module

NAME = "ip_vs"


def instance(root: str = "/") -> Optional[int]:
    """Return what tells one load of ip_vs from the next; None if it is not there.

    It is the inode of its folder in sysfs, which never gets one again that has just been used
    (fs/kernfs/dir.c: __kernfs_new_node allocates them cyclically).
    """
    try:
        return os.stat(os.path.join(root, "sys/module", NAME)).st_ino
    except OSError:
        return None


def state(root: str = "/") -> Module:
    """Return the module's state.

    `initstate` is `coming` while the module's init runs, `live` after it and `going` while
    it is removed (kernel/module/sysfs.c, show_initstate). A folder without it belongs to a
    built-in module, whose sysctls are there from boot on, or to one whose folder is just being
    made or taken away (seen right after `remove`), whose sysctls are not there: absent, since
    `add` is still to come or the module is going.
    """
    folder = os.path.join(root, "sys/module", NAME)
    try:
        with open(os.path.join(folder, "initstate"), encoding="ascii") as file:
            return Module(file.read().strip())
    except FileNotFoundError:
        if not os.path.isdir(folder):
            return Module.ABSENT
        tree = os.path.isdir(os.path.join(root, "proc/sys/net/ipv4/vs"))
        return Module.BUILT_IN if tree else Module.ABSENT
    except (OSError, ValueError):
        # The module is being freed while its file is read: ENODEV, or nothing in it.
        return Module.GOING
