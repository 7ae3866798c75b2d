"""Counts how long estimation may have run in a namespace where the policy wants it off."""

from typing import NamedTuple, Optional

from ipvsd.model import NS_PER_S

# The timer's period, also the wait for its first tick after the namespace or the module came
# (jiffies + 2*HZ in net/netfilter/ipvs/ip_vs_est.c): before it, a value costs no estimation run.
PERIOD_NS = 2 * NS_PER_S


class Exposure(NamedTuple):
    """Time at the wrong value, in nanoseconds, and the estimation runs that may have been in it.

    The time is an upper bound. Where the moment of a change is unknown, it is counted from the last
    moment at which the value was still right, or at which the namespace did not exist yet. One run
    is counted for each full period. That is exact after a birth or a load; after a change in
    between, there may have been one run more. Of changes by others, what is shorter than a period
    adds up: in a contest the value is wrong for many short times. A namespace that is gone counts
    until it was last seen: by a check, or by the scan before the one that did not find it.
    """

    since_ns: Optional[int] = None  # monotonic, while the value is wrong
    closed_ns: int = 0
    closed_runs: int = 0
    rest_ns: int = 0  # of changes by others, not counted as a run yet


def wrong(exposure: Exposure, since_ns: int) -> Exposure:
    """Return the exposure of a value that is wrong since a moment, or has been wrong for longer."""
    return exposure if exposure.since_ns is not None else exposure._replace(since_ns=since_ns)


def right(exposure: Exposure, now_ns: int, idle: bool = False, by_others: bool = False) -> Exposure:
    """Return the exposure of a value that is right from a moment on.

    `idle` says that no estimator could run, as NamespaceResult does; `by_others` that somebody else
    had changed the value, and not a birth or a load.
    """
    if exposure.since_ns is None:
        return exposure
    open_ns, rest_ns = max(0, now_ns - exposure.since_ns), exposure.rest_ns
    runs = 0 if idle else open_ns // PERIOD_NS
    if by_others and not idle:
        runs, rest_ns = divmod(rest_ns + open_ns, PERIOD_NS)
    return Exposure(None, exposure.closed_ns + open_ns, exposure.closed_runs + runs, rest_ns)
