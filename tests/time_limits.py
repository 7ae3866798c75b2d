"""Time limits for code that must neither compute nor wait for long."""

import contextlib
import signal


class TakesTooLong(BaseException):
    """Raised at the limit; no Exception, so that no code handles it as a failure."""


@contextlib.contextmanager
def in_time(seconds=10):
    """Fail when the block uses more CPU time: a thousand times what it should."""

    def too_long(_number, _frame):
        raise TakesTooLong

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def in_alarm(seconds=10):
    """Fail when the block waits for so long, which uses no CPU time."""

    def waits(_number, _frame):
        raise AssertionError("the block waits")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
