"""Has namespaces.json written by a child process, which is forked with the daemon's memory.

What the child sees is one moment, and nothing has to be sent to it. With 5,000 namespaces the fork
holds the loop for 4 ms (1 ms with none); rendering there would take 31 ms, and sending the states
20 ms (measured on two cores of a server, without emulation).
"""

import gc
from typing import Optional

from ipvsd.enforce.memory import Memory
from ipvsd.model import NS_PER_S
from ipvsd.status import documents, runtime_dir
from ipvsd.status.runtime_dir import NAMESPACES, RuntimeFolder
from ipvsd.system.event_loop import Loop
from ipvsd.system.progress import Progress
from ipvsd.system.worker import Done, Worker
from ipvsd.text import error_text

# Where states change all the time, rendering takes 1/50 of a CPU.
_SHARE = 50
# After an error; and what a child has at most: it writes to a file system in memory.
_RETRY_NS = 10 * NS_PER_S
_LIMIT_NS = 60 * NS_PER_S


class NamespacesFile:
    """The file with the states of all namespaces, as old as the last change at most."""

    def __init__(self, loop: Loop, folder: RuntimeFolder) -> None:
        """Start no process yet. Raises OSError."""
        self.path = folder.path(NAMESPACES)
        self._loop = loop
        self._folder = folder
        self._worker = Worker(self._write, "ipvsd-render")
        self._memory = Memory()  # that the child writes, or has written
        self._written: Optional[int] = None  # the revision that the file has
        self._refused = ""  # why no process could be started
        self._began_ns = 0
        self._due_ns = 0  # not before
        loop.follow(self._worker)

    @property
    def busy(self) -> bool:
        """Whether the file is being written."""
        return self._worker.busy

    def begin(self, memory: Memory, now_ns: int) -> None:
        """Begin to write the file if it is old and that is due."""
        moment_ns = self.due_ns(memory)
        if self.busy or moment_ns is None or now_ns < moment_ns:
            return
        self._memory, self._began_ns = memory, now_ns
        try:
            self._worker.submit(now_ns)
        except OSError as error:
            self._refused = error_text(error)

    def take(self, now_ns: int) -> Optional[Done]:
        """Return the end of the writing, None if it has not ended: an error, or none."""
        done, late = self._worker.take(), self.busy and now_ns >= self._began_ns + _LIMIT_NS
        if done is None and not late and not self._refused:
            return None
        self._worker.kill()  # it has a memory of the past
        error = self._refused or f"{self.path}: its process did not end"
        if done is not None:
            error = done.error or done.result or ""
        self._refused = ""
        self._written = None if error else self._memory.revision
        self._due_ns = now_ns + (_RETRY_NS if error else _SHARE * (now_ns - self._began_ns))
        return Done(error=error)

    def due_ns(self, memory: Memory) -> Optional[int]:
        """Return when to call begin() or take() if nothing happens, None for never."""
        if self.busy:
            return self._began_ns + _LIMIT_NS
        return None if self._written == memory.revision else self._due_ns

    def close(self) -> None:
        """End the child."""
        self._loop.unfollow(self._worker)
        self._worker.close()

    def _write(self, now_ns: int, _progress: Progress) -> Optional[str]:
        """Render and write the file, in the child; return why that failed, None if it did not."""
        gc.disable()  # it would touch, and so copy, all of the parent's memory
        known = documents.known(self._memory)
        states = [documents.ns_state_document(ns_state, now_ns) for ns_state in known]
        return runtime_dir.publish(*self._folder.rendered(NAMESPACES, {"namespaces": states}))
