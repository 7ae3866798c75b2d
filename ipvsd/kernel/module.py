"""Reads the state of the ip_vs module from /sys/module/ip_vs."""

import os
from typing import Optional

from ipvsd.model import Module

NAME = "ip_vs"


def instance(root: str = "/") -> Optional[int]:
    """Return a number that differs for each load of ip_vs; None if ip_vs is not loaded.

    It is the inode number of the module's folder in sysfs. A number that has just been used is not
    used again (fs/kernfs/dir.c: __kernfs_new_node allocates them cyclically).
    """
    try:
        return os.stat(os.path.join(root, "sys/module", NAME)).st_ino
    except OSError:
        return None


def state(root: str = "/") -> Module:
    """Return the module's state.

    `initstate` is `coming` while the module's init runs, `live` after it and `going` while
    it is removed (kernel/module/sysfs.c, show_initstate). A folder without it has two meanings.
    If the sysctls exist, the module is built in: then they exist from boot on. If they do not, the
    folder is just being created or removed (seen right after `remove`): the module is absent,
    since `add` has not come yet or the module is being removed.
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
        # The module is being freed while its file is read: ENODEV, or the file is empty.
        return Module.GOING
