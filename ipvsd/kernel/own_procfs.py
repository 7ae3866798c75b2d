"""Makes procfs instances of the guard's own, in which a look-up costs the same for thousands.

Below one instance of procfs the kernel keeps a dentry "ipv4" in /proc/sys/net for each network
namespace that anybody has looked at through it, all in one hash chain (fs/proc/proc_sysctl.c,
proc_sys_compare). So the cost of each look-up there grows with the number of namespaces, for every
program of the host. An instance that is mounted nowhere has a chain of its own, and nobody else's
grows.
"""

import errno
import os
from typing import Optional

from ipvsd.kernel import libc

# An instance is dropped after so many look-ups. With fewer, making and dropping instances costs
# more than the chain: `make bench PART=native` measures both.
USES_MAX = 16
# These do not last: the next visit tries again.
_PASSING = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR)


def is_real(root: str) -> bool:
    """Return whether the procfs below a root is the kernel's, as the caller sees it.

    So it is where a container has the host's /proc below a folder and the host's processes.
    """
    if root == "/":
        return True
    try:
        return os.path.samestat(os.stat(f"{root}/proc/self/ns/net"), os.stat("/proc/self/ns/net"))
    except OSError:
        return False


class OwnProcfs:
    """One instance at a time, in one process; never with options such as hidepid."""

    def __init__(self) -> None:
        self.unavailable = ""  # why there can be none here
        self._mount = -1
        self._uses = 0

    def folder(self) -> Optional[int]:
        """Return a descriptor of the root of an instance, None if the shared one has to be used.

        It is valid until the next call.
        """
        if self._uses >= USES_MAX:
            self.drop()
        if self._mount < 0 and not self.unavailable:
            try:
                self._mount = _new_instance()
            except OSError as error:
                if error.errno not in _PASSING:
                    self.unavailable = error.strerror or str(error)
        self._uses += 1
        return self._mount if self._mount >= 0 else None

    def drop(self) -> None:
        """Drop the instance, and what the kernel remembers in it."""
        if self._mount >= 0:
            os.close(self._mount)
        self._mount, self._uses = -1, 0


def _new_instance() -> int:
    """Return a descriptor of a new instance. Raises OSError where there can be none."""
    configuration = libc.fsopen("proc")
    try:
        libc.fsconfig_create(configuration)
        mount = libc.fsmount(configuration)
    finally:
        os.close(configuration)
    if os.fstat(mount).st_dev == os.stat("/proc").st_dev:
        # Before Linux 5.8 (fa10fed30f25) all mounts of a PID namespace share one instance.
        os.close(mount)
        raise OSError(errno.EOPNOTSUPP, "this kernel has only one procfs instance")
    return mount
