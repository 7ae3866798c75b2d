"""Limits for what must neither compute nor wait for long."""

import contextlib
import signal


class TakesForEver(BaseException):
    """No Exception, so that nothing takes it for a failure that is worth being tried again."""


@contextlib.contextmanager
def in_time(seconds=10):
    """Fail when it takes more of the CPU's time: a thousand times what it should."""

    def too_long(_number, _frame):
        raise TakesForEver

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def in_alarm(seconds=10):
    """Fail when it waits, which costs no time of the CPU."""

    def waits(_number, _frame):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
