"""Kernel uevents, of the ip_vs module above all, through pyudev."""

import contextlib
import os
import socket
from typing import Any, Iterator, List, NamedTuple, Optional

from ipvsd.kernel import uevent_filter
from ipvsd.kernel.module import NAME
from ipvsd.model import Exit, GuardError

# Room for some 20,000 queued uevents of 400 bytes (each also costs the kernel's bookkeeping):
# a storm while the loop waits for a CPU is not lost. Taken from kernel memory only when used.
# Those of one device can only be many where somebody writes to its `uevent` file.
RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
# A storm must not keep the loop from its other work; what is left is drained in the next turn.
DRAIN_MAX = 1000
_UEVENT = 15  # NETLINK_KOBJECT_UEVENT, linux/netlink.h
_KERNEL_GROUP = 1  # multicast group of the kernel's uevents, lib/kobject_uevent.c

# pyudev raises ValueError, OverflowError and MemoryError for EINVAL, EOVERFLOW and ENOMEM.
_RECEIVE_ERRORS = (OSError, ValueError, OverflowError, MemoryError)


class Drained(NamedTuple):
    """What was in the socket: actions on ip_vs in their order, and an error if there was one."""

    actions: List[str]
    error: str = ""


class Monitor:
    """A socket that hears the kernel's uevents, without udevd."""

    def __init__(self, subsystem: str = "module", name: Optional[str] = NAME) -> None:
        """Open the socket and begin to receive events on one device of a subsystem, or on all.

        Raises GuardError when pyudev is missing or the socket cannot be had.
        """
        self._name = name
        try:
            import pyudev
        except ImportError as error:
            message = f"pyudev cannot be imported ({error}); install the package python3-pyudev"
            raise GuardError(message, Exit.CANNOT_TELL) from error
        try:
            self._monitor: Any = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
            # Applied inside libudev: events of other subsystems never become Python objects. Those
            # about other devices than the one that is asked for do not even reach the socket.
            self._monitor.filter_by(subsystem)
            self._grow_buffer()
            self._monitor.start()
            if name is not None:
                with self._socket() as receiver:
                    uevent_filter.attach(receiver, uevent_filter.only_about(f"/{subsystem}/{name}"))
        except _RECEIVE_ERRORS as error:
            message = f"cannot listen to kernel uevents: {error}"
            raise GuardError(message, Exit.CANNOT_TELL) from error

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return int(self._monitor.fileno())

    def drain(self) -> Drained:
        """Take what is in the socket, without waiting, up to an `add` of the device: it is urgent.

        An error, ENOBUFS where the kernel has dropped events, is taken off the socket: pyudev
        (0.24.0 at least) raises on POLLERR without receiving, and would see the same one for ever.
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
        """Give the socket back: pyudev does so when its object goes."""
        self._monitor = None

    def defect(self) -> Optional[str]:
        """Return why the socket is deaf, None when it is bound to the kernel's uevents."""
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
            return ""  # it is no socket any more, as defect() tells
        return os.strerror(number) if number else ""

    @contextlib.contextmanager
    def _socket(self) -> Iterator[socket.socket]:
        """Lend pyudev's descriptor as a socket object; it stays pyudev's."""
        # Python 3.6 does not find out by itself what kind of socket it is given.
        view = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _UEVENT, self.fileno())
        try:
            yield view
        finally:
            view.detach()

    def _grow_buffer(self) -> None:
        """Ask for a large receive buffer; without it, overflow is only more likely.

        Needs CAP_NET_ADMIN. pyudev before 0.24.5 also raises when an older failed call has
        left its errno behind, so the exception proves nothing and an overflow, which is
        reported when it happens, is what counts.
        """
        try:
            self._monitor.set_receive_buffer_size(RECEIVE_BUFFER_BYTES)
        except _RECEIVE_ERRORS:
            pass
