"""Receives kernel uevents, above all those of the ip_vs module, through pyudev."""

import contextlib
import functools
import os
import socket
from typing import Any, Iterator, List, NamedTuple, Optional

from ipvsd.kernel import uevent_filter
from ipvsd.kernel.module import NAME
from ipvsd.model import Exit, GuardError

# Room for some 20,000 queued uevents of 400 bytes (each also costs the kernel's bookkeeping), so
# that no uevent is lost in a burst while the loop waits for a CPU. The kernel allocates the memory
# only when it is used. One device has many uevents only if somebody writes to its `uevent` file.
RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
# A burst must not keep the loop from its other work; the next cycle drains the rest.
DRAIN_MAX = 1000
_UEVENT = 15  # NETLINK_KOBJECT_UEVENT, linux/netlink.h
_KERNEL_GROUP = 1  # multicast group of the kernel's uevents, lib/kobject_uevent.c

# pyudev raises ValueError, OverflowError and MemoryError for EINVAL, EOVERFLOW and ENOMEM.
_RECEIVE_ERRORS = (OSError, ValueError, OverflowError, MemoryError)


@functools.lru_cache(maxsize=None)
def _context() -> Any:
    """Return pyudev's connection to libudev, which the daemon opens once, at its start.

    Each new one searches for the library with programs (ldconfig, gcc: ctypes.util.find_library),
    and the loop would wait for them.
    """
    import pyudev

    return pyudev.Context()


class Drained(NamedTuple):
    """The content of the socket: actions on ip_vs in their order, and an error if there was one."""

    actions: List[str]
    error: str = ""


class Monitor:
    """A socket that receives the kernel's uevents, without udevd."""

    def __init__(self, subsystem: str = "module", name: Optional[str] = NAME) -> None:
        """Open the socket and begin to receive uevents of one device of a subsystem, or of all.

        Raises GuardError when pyudev is missing or the socket cannot be opened.
        """
        self._name = name
        try:
            import pyudev
        except ImportError as error:
            message = f"pyudev: cannot be imported ({error}); install the package python3-pyudev"
            raise GuardError(message, Exit.CANNOT_TELL) from error
        try:
            self._monitor: Any = pyudev.Monitor.from_netlink(_context(), source="kernel")
            # libudev applies this filter: uevents of other subsystems never become Python objects.
            # The filter below goes further: uevents of other devices do not even reach the socket.
            self._monitor.filter_by(subsystem)
            self._grow_buffer()
            self._monitor.start()
            if name is not None:
                with self._socket() as receiver:
                    uevent_filter.attach(receiver, uevent_filter.only_about(f"/{subsystem}/{name}"))
        except (*_RECEIVE_ERRORS, ImportError) as error:  # pyudev does not find libudev
            message = f"kernel uevents: cannot be received: {error}"
            raise GuardError(message, Exit.CANNOT_TELL) from error

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return int(self._monitor.fileno())

    def drain(self) -> Drained:
        """Return the uevents in the socket, without waiting, up to an `add` of the device.

        The caller can then react to the `add` at once. An error, ENOBUFS where the kernel has
        dropped uevents, is cleared: pyudev (0.24.0 at least) raises on POLLERR without receiving,
        and would raise the same error each time.
        """
        actions: List[str] = []
        error = ""
        for _ in range(DRAIN_MAX):
            try:
                device = self._monitor.poll(timeout=0)
            except _RECEIVE_ERRORS as caught:
                pending = self._take_error()
                error = error or pending or str(caught)
                if not pending:
                    break
                continue
            if device is None:
                break
            if self._name in (None, device.sys_name):
                actions.append(device.action)
                if self._name and device.action == "add":
                    break
        return Drained(actions, error)

    def close(self) -> None:
        """Close the socket: pyudev closes it when its object is deleted."""
        self._monitor = None

    def defect(self) -> Optional[str]:
        """Return why the socket receives nothing, None when it is bound to the kernel's uevents."""
        try:
            with self._socket() as view:
                _, groups = view.getsockname()
        except (OSError, TypeError, ValueError) as error:
            return str(error)
        return None if groups & _KERNEL_GROUP else "not bound to the kernel's uevents"

    def _take_error(self) -> str:
        """Return the socket's pending error and clear it; empty when there is none."""
        try:
            with self._socket() as view:
                number = view.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError:
            return ""  # the descriptor is no longer a socket, which defect() reports
        return os.strerror(number) if number else ""

    @contextlib.contextmanager
    def _socket(self) -> Iterator[socket.socket]:
        """Yield pyudev's descriptor as a socket object, without taking it over."""
        # Python 3.6 does not detect the kind of socket by itself.
        view = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _UEVENT, self.fileno())
        try:
            yield view
        finally:
            view.detach()

    def _grow_buffer(self) -> None:
        """Request a large receive buffer; without it, an overflow is only more likely.

        Needs CAP_NET_ADMIN. An exception is ignored, since it proves nothing: pyudev before 0.24.5
        also raises when an earlier failed call has left its errno behind. An overflow is reported
        when it happens.
        """
        try:
            self._monitor.set_receive_buffer_size(RECEIVE_BUFFER_BYTES)
        except _RECEIVE_ERRORS:
            pass
