"""Decides when a value that somebody else keeps changing is set once more."""

from typing import NamedTuple

from ipvsd.model import NS_PER_S, ContestPolicy, Reason

# Changes that somebody else made; the kernel or the administrator caused the others.
CONTESTABLE = (Reason.DRIFT, Reason.RESYNC)

# A value that had to be set this many times in a row is no accident.
CONTESTED_AFTER = 3
# While a value is contested, so long after it was last set it is checked and set once more. The
# timer estimates every 2 s (exposure.PERIOD_NS): a value that somebody else changes now and then is
# right for at least every second run, and nobody makes the guard write more than once a second.
AGAIN_NS = NS_PER_S
# What stays right for so long is no longer contested.
QUIET_NS = 60 * NS_PER_S


class Contest(NamedTuple):
    """How often one value was set again although it had been right before."""

    times: int = 0
    last_ns: int = 0  # when it was last set (monotonic)

    @property
    def contested(self) -> bool:
        """Whether somebody else has changed the value too often."""
        return self.times >= CONTESTED_AFTER

    def waits(self, contest_policy: ContestPolicy, now_ns: int, pause_ns: int = AGAIN_NS) -> bool:
        """Return whether the value is left alone for now: for a pause, or with `yield` for good."""
        if not self.contested:
            return False
        return contest_policy is ContestPolicy.YIELD or now_ns < self.last_ns + pause_ns

    def set_again(self, now_ns: int, period_ns: int) -> "Contest":
        """Return the contest after the value was found changed and was set again.

        `period_ns` is the time between two checks: values are found changed no more often.
        """
        return Contest(1 if self.over(now_ns, period_ns) else self.times + 1, now_ns)

    def over(self, now_ns: int, period_ns: int) -> bool:
        """Return whether nobody has changed the value for long enough."""
        return now_ns - self.last_ns >= QUIET_NS + 2 * period_ns
