"""A process that puts in order what another one leaves when it ends, in whatever way it ends.

A child process, because nothing else is sure to run after SIGKILL: it waits at the other end of a
pipe, which the kernel closes when its parent dies.
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

# For a dying process to let go of what it has open, on a busy machine.
_CLEAN_LIMIT_NS = 10 * NS_PER_S
_CLEAN_AGAIN_S = 0.02

# All that one may send to end a process and can be caught: none is meant for the caretaker.
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)


class CleanupProcess:
    """Restores a state when told to, or, if it was changed, when its parent has died."""

    def __init__(
        self, restore: Callable[[], bool], clean: Callable[[], bool], hold_ns: int = 0
    ) -> None:
        """Fork; call it before any thread is begun.

        `restore` is called no sooner than `hold_ns` after arm(), `clean` at the parent's end; both
        return whether that worked. Raises OSError.
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
        os.read(self._answers, 1)  # it has heard, and no signal for this process ends it

    def arm(self) -> None:
        """Tell that the state is about to be changed."""
        self._armed_ns = monotonic_ns()
        os.write(self._orders, _ARM)

    def restore(self) -> bool:
        """Have the state restored; whether that worked."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, _RESTORE)
            answer = os.read(self._answers, 1)
            if answer:
                return answer == _DONE
        # Somebody has killed the caretaker.
        return self._restore_now()

    def close(self) -> None:
        """End it, and wait until it has put in order what there is."""
        os.close(self._orders)
        os.waitpid(self._pid, 0)
        os.close(self._answers)

    def _serve(self, orders: int, answers: int) -> None:
        """Be the caretaker; never returns into what the parent was doing."""
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in _DEAF_TO:
                signal.signal(number, signal.SIG_IGN)
            os.write(answers, _READY)
            code = 0 if self._obey(orders, answers) else 1
        finally:
            os._exit(code)

    def _obey(self, orders: int, answers: int) -> bool:
        armed = False
        while True:
            order = os.read(orders, 1)
            if order == _ARM:
                armed, self._armed_ns = True, monotonic_ns()
            elif order == _RESTORE:
                done = self._restore_now()
                armed = not done
                with contextlib.suppress(BrokenPipeError):  # it has died meanwhile
                    os.write(answers, _DONE if done else _FAILED)
            elif not order:
                done = self._restore_now() if armed else True
                return self._clean_up() and done

    def _clean_up(self) -> bool:
        """Of a process that is killed the kernel closes one descriptor after another.

        So what another one keeps busy can be there still, when the pipe is closed.
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
        except Exception as error:  # whatever it is, it must not keep the rest from being done
            with contextlib.suppress(OSError):  # there may be nobody left to tell
                text = printable_line(f"ipvsd: unexpected {type(error).__name__}: {error}")
                os.write(2, f"{text}\n".encode())
            return False
