"""Restores the value and removes the probes if the parent process dies, in whatever way.

A child process does this, because nothing else is sure to run after SIGKILL of the parent. It
waits at the other end of a pipe, which the kernel closes when the parent dies. If both are killed,
the drop-in of the comparison no longer counts: a daemon sees that within a second and sets the
value; without a daemon, the next command that applies the configuration sets it.
"""

import contextlib
import os
import signal
import time
from typing import Callable

from ipvsd.model import NS_PER_S
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.text import printable_line

_ARM = b"a"
_RESTORE = b"r"
_READY = b"y"
_DONE = b"d"
_FAILED = b"f"

# How long a dying process may take to close its descriptors, on a busy machine.
_CLEAN_LIMIT_NS = 10 * NS_PER_S
_CLEAN_AGAIN_S = 0.02

# All signals that usually end a process and can be caught. The cleanup process ignores them, since
# they are meant for the parent.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)


class CleanupProcess:
    """A child process that restores a state on request, or when the parent dies after arm()."""

    def __init__(
        self, restore: Callable[[], bool], clean: Callable[[], bool], hold_ns: int = 0
    ) -> None:
        """Fork the process; has to be called before any thread is started.

        The process calls `restore` at the earliest `hold_ns` nanoseconds after arm(), and `clean`
        at the end of the parent. Both return whether they succeeded. Raises OSError.
        """
        self._restore = restore
        self._clean = clean
        self._hold_ns = hold_ns
        self._armed_ns = 0
        orders, self._orders = os.pipe2(os.O_CLOEXEC)
        self._answers, answers = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._orders)
            os.close(self._answers)
            self._serve(orders, answers)
        os.close(orders)
        os.close(answers)
        os.read(self._answers, 1)  # from now on the child ignores signals meant for this process

    def arm(self) -> None:
        """Announce that the state is about to be changed, so that it has to be restored."""
        self._armed_ns = monotonic_ns()
        os.write(self._orders, _ARM)

    def restore(self) -> bool:
        """Let the child restore the state, and return whether it succeeded."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, _RESTORE)
            answer = os.read(self._answers, 1)
            if answer:
                return answer == _DONE
        # The child was killed: this process does it itself.
        return self._restore_now()

    def close(self) -> None:
        """End the child, and wait until it has restored and cleaned up what is left."""
        os.close(self._orders)
        os.waitpid(self._pid, 0)
        os.close(self._answers)

    def _serve(self, orders: int, answers: int) -> None:
        """Run as the child; never returns, so that the parent's code does not run twice."""
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in _IGNORED:
                signal.signal(number, signal.SIG_IGN)
            os.write(answers, _READY)
            code = 0 if self._follow(orders, answers) else 1
        finally:
            os._exit(code)

    def _follow(self, orders: int, answers: int) -> bool:
        armed = False
        while True:
            order = os.read(orders, 1)
            if order == _ARM:
                armed, self._armed_ns = True, monotonic_ns()
            elif order == _RESTORE:
                done = self._restore_now()
                armed = not done
                with contextlib.suppress(BrokenPipeError):  # the parent has died meanwhile
                    os.write(answers, _DONE if done else _FAILED)
            elif not order:
                done = self._restore_now() if armed else True
                return self._clean_up() and done

    def _clean_up(self) -> bool:
        """Call `clean` until it succeeds, and return whether it did within the time limit.

        The kernel closes the descriptors of a killed process one after another. When the pipe is
        closed, another descriptor may still be open and keep its file busy.
        """
        until_ns = monotonic_ns() + _CLEAN_LIMIT_NS
        while not self._clean():
            if monotonic_ns() > until_ns:
                return False
            time.sleep(_CLEAN_AGAIN_S)
        return True

    def _restore_now(self) -> bool:
        time.sleep(max(0, self._armed_ns + self._hold_ns - monotonic_ns()) / 1e9)
        try:
            return self._restore()
        except Exception as error:  # whatever it is, the rest still has to be done
            with contextlib.suppress(OSError):  # stderr may be closed already
                cause = f"unexpected {type(error).__name__}: {error}"
                text = printable_line(f"ipvsd: the values could not be restored: {cause}")
                os.write(2, f"{text}\n".encode())
            return False
