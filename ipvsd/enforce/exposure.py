"""How long estimation may have run in a namespace although the policy says that it should not."""

from typing import NamedTuple, Optional

from ipvsd.model import NS_PER_S

# The timer's period, also the wait for its first tick after the namespace or the module came
# (jiffies + 2*HZ in net/netfilter/ipvs/ip_vs_est.c): what is set sooner costs no pass.
PERIOD_NS = 2 * NS_PER_S


class Exposure(NamedTuple):
    """Time at the wrong value, in nanoseconds, and the estimation passes that may have run in it.

    The time is an upper bound: where the moment of a change is not known, the last one is taken at
    which the value was still right, or at which the namespace was not yet there. A pass is counted
    for each full period, which is exact from a birth or a load on; after a change in between, one
    more may have run.
    """

    since_ns: Optional[int] = None  # monotonic, while the value is wrong
    closed_ns: int = 0
    closed_runs: int = 0


def wrong(exposure: Exposure, since_ns: int) -> Exposure:
    """Return the exposure of a value that is wrong since a moment, or since earlier."""
    return exposure if exposure.since_ns is not None else exposure._replace(since_ns=since_ns)


def right(exposure: Exposure, now_ns: int) -> Exposure:
    """Return the exposure of a value that is right from now on."""
    if exposure.since_ns is None:
        return exposure
    open_ns = max(0, now_ns - exposure.since_ns)
    closed_ns = exposure.closed_ns + open_ns
    return Exposure(None, closed_ns, exposure.closed_runs + open_ns // PERIOD_NS)
