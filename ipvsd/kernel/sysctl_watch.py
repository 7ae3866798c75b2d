"""Writes by others to a sysctl of the own namespace, through inotify."""

import contextlib
import os

from ipvsd.kernel import libc

_IN_CLOSE_WRITE = 0x8  # linux/inotify.h; not IN_MODIFY, which `echo >` causes twice
_EVENTS_BYTES = 64 * 1024


class WriteWatch:
    """Tells of writes through the same procfs; those through another instance are not seen.

    A file of ip_vs goes when ip_vs does, without a word; after each load it is another one.
    """

    def __init__(self) -> None:
        """Raise OSError when the kernel has no inotify left to give."""
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
        # memory is short. It does not keep ip_vs from being unloaded.
        self._held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._watch = libc.inotify_add_watch(self._inotify, path, _IN_CLOSE_WRITE)
        except OSError:
            self.disarm()
            raise

    def disarm(self) -> None:
        """Let go of the file; a watch that is left would keep its inode for ever."""
        if self._watch >= 0:
            with contextlib.suppress(OSError):  # the kernel has removed it with the inode
                libc.inotify_rm_watch(self._inotify, self._watch)
        if self._held >= 0:
            os.close(self._held)
        self._watch = self._held = -1

    def drain(self) -> bool:
        """Take what is there without waiting; whether anything was."""
        try:
            return bool(os.read(self._inotify, _EVENTS_BYTES))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give the descriptors back."""
        self.disarm()
        os.close(self._inotify)
