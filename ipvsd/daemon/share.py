"""Decides what may be spent of the CPU. All times are nanoseconds, moments are monotonic."""

from typing import Optional


class Share:
    """CPU time that may be spent: a part of the time that passes, and some in advance.

    Whoever creates and removes namespaces all the time can cause no more than that.
    """

    def __init__(self, part: int, most_ns: int, wait_ns: Optional[int] = None) -> None:
        """Begin with `most_ns` nanoseconds, the most that can be saved up.

        Whatever was spent, more may be after `wait_ns` at most, if that is given.
        """
        self._part = part
        self._most_ns = most_ns
        self._debt_ns = None if wait_ns is None else wait_ns // part
        self._left_ns = most_ns
        self._at_ns: Optional[int] = None

    def spend(self, cost_ns: int, now_ns: int) -> None:
        """Note CPU time that was spent."""
        self._grow(now_ns)
        self._left_ns -= cost_ns
        if self._debt_ns is not None:
            self._left_ns = max(self._left_ns, -self._debt_ns)

    def ready_ns(self, now_ns: int) -> int:
        """Return when more may be spent."""
        self._grow(now_ns)
        return now_ns if self._left_ns >= 0 else now_ns - self._left_ns * self._part

    def _grow(self, now_ns: int) -> None:
        if self._at_ns is None:
            self._at_ns = now_ns
        grown_ns = max(0, now_ns - self._at_ns) // self._part
        self._at_ns += grown_ns * self._part
        self._left_ns = min(self._most_ns, self._left_ns + grown_ns)
