"""Decides when a value that somebody else keeps changing is set once more."""

from typing import NamedTuple

from ipvsd.model import NS_PER_S, ContestPolicy, Reason

# Changes that somebody else made; the kernel or the administrator caused the others.
CONTESTABLE = (Reason.DRIFT, Reason.RESYNC)

# A value that had to be set this many times in a row is no accident.
CONTESTED_AFTER = 3
BACK_OFF_MIN_NS = NS_PER_S
BACK_OFF_MAX_NS = 300 * NS_PER_S
# What stays right for so long, or for twice the last back-off, is no longer contested.
QUIET_MIN_NS = 60 * NS_PER_S


class Contest(NamedTuple):
    """How often one value was set again although it had been right before."""

    times: int = 0
    last_ns: int = 0  # when it was last set (monotonic)

    @property
    def contested(self) -> bool:
        """Whether somebody else has changed the value too often."""
        return self.times >= CONTESTED_AFTER

    @property
    def back_off_ns(self) -> int:
        """How long to wait since the value was last set."""
        if not self.contested:
            return 0
        doublings = min(self.times - CONTESTED_AFTER, 20)
        return min(BACK_OFF_MAX_NS, BACK_OFF_MIN_NS << doublings)

    @property
    def quiet_ns(self) -> int:
        """How long the value must stay right until it is no longer contested."""
        return max(QUIET_MIN_NS, 2 * self.back_off_ns)

    def waits(self, contest_policy: ContestPolicy, now_ns: int) -> bool:
        """Return whether the value is left alone for now."""
        if not self.contested:
            return False
        return contest_policy is ContestPolicy.YIELD or now_ns < self.last_ns + self.back_off_ns

    def set_again(self, now_ns: int, period_ns: int) -> "Contest":
        """Return the contest after the value was found changed and was set again.

        `period_ns` is the time between two checks: values are found changed no more often.
        """
        return Contest(1 if self.over(now_ns, period_ns) else self.times + 1, now_ns)

    def over(self, now_ns: int, period_ns: int) -> bool:
        """Return whether nobody has changed the value for long enough."""
        return now_ns - self.last_ns >= self.quiet_ns + 2 * period_ns
