"""Reports writes by others to a sysctl of the guard's own namespace, through inotify."""

import contextlib
import os

from ipvsd.kernel import libc

_IN_CLOSE_WRITE = 0x8  # linux/inotify.h; not IN_MODIFY, which `echo >` causes twice
_EVENTS_BYTES = 64 * 1024


class WriteWatch:
    """An inotify watch for writes to one sysctl file, through the same procfs instance.

    Writes through another instance of procfs are not reported. The files of ip_vs are removed with
    the module, without an event; after each load there is a new file, to be watched with arm().
    """

    def __init__(self) -> None:
        """Create the inotify descriptor. Raises OSError when the user has too many of them."""
        self._inotify = libc.inotify_init()
        self._watch = -1
        self._held = -1

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._inotify

    def arm(self, path: str) -> None:
        """Watch this file from now on. Raises OSError."""
        self.disarm()
        # Without an open descriptor the kernel may drop the inode, and the watch with it, when
        # memory is short. The descriptor does not prevent ip_vs from being unloaded.
        self._held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._watch = libc.inotify_add_watch(self._inotify, path, _IN_CLOSE_WRITE)
        except OSError:
            self.disarm()
            raise

    def disarm(self) -> None:
        """Remove the watch and close the file; a watch that stays would keep its inode."""
        if self._watch >= 0:
            with contextlib.suppress(OSError):  # the kernel has removed it with the inode
                libc.inotify_rm_watch(self._inotify, self._watch)
        if self._held >= 0:
            os.close(self._held)
        self._watch = self._held = -1

    def drain(self) -> bool:
        """Read all events without waiting, and return whether there were any."""
        try:
            return bool(os.read(self._inotify, _EVENTS_BYTES))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the descriptors."""
        self.disarm()
        os.close(self._inotify)
