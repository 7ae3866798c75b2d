"""Decides when to look again for births that were reported and not found."""

from typing import Optional

from ipvsd.model import NS_PER_MS, NS_PER_S

# A birth is reported some microseconds, on a busy machine milliseconds, before the namespace has a
# holder that can be found: scan now, and again after these waits. A namespace that is still not
# found no longer exists, or is held in a way that only a search finds.
RETRIES_NS = (4 * NS_PER_MS, 16 * NS_PER_MS, 64 * NS_PER_MS, 256 * NS_PER_MS)
# Longer than it takes from a birth until the namespace has a holder that can be found.
VISIBLE_NS = 100 * NS_PER_MS
# Longer than it takes until the holder that it keeps has it.
SETTLED_NS = NS_PER_S
# Where a look at who has caused the births finds nothing, it is repeated as often, before a scan.
LOOKED_NS = sum(RETRIES_NS)


class ExpectedBirths:
    """Births that were reported and are not found yet. All times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self.count = 0
        self.first_ns: Optional[int] = None  # when the first of them was; None if one has no time
        self.scan_ns: Optional[int] = None  # when to scan, unless looks have found them before
        self._reported_ns = 0  # when the last of them was
        self._tries = 0  # scans for them since then

    def report(
        self, births: int, first_ns: Optional[int], now_ns: int, looked: bool = False
    ) -> None:
        """Expect so many births more, of which the first was at `first_ns` (None if unknown).

        Where they are `looked` for, one scan follows later, and no other one.
        """
        known = [one for one in (self.first_ns, first_ns) if one is not None]
        if self.count:
            first_ns = min(known) if len(known) > 1 else None
        self.count, self.first_ns = self.count + births, first_ns
        self._reported_ns, self._tries = now_ns, len(RETRIES_NS) if looked else 0
        if looked and self.scan_ns is None:
            self.scan_ns = now_ns + LOOKED_NS

    def found(self, births: int) -> None:
        """Expect so many births less."""
        self.count = max(0, self.count - births)
        if not self.count:
            self.first_ns = self.scan_ns = None

    def next_scan_ns(self, now_ns: int) -> Optional[int]:
        """Return when to scan again after a scan that ends now, None if that is of no use."""
        if not self.count or self._tries >= len(RETRIES_NS):
            return None
        self._tries += 1
        return now_ns + RETRIES_NS[self._tries - 1]

    def need_search(self) -> bool:
        """Return, once for each report, whether only a search may find them."""
        needed = self.count > 0 and self._tries == len(RETRIES_NS)
        self._tries += needed
        return needed

    def searched(self, began_ns: int) -> None:
        """Note that a search, which began then, found nothing: what it misses does not exist.

        While it goes on, a namespace may pass from a holder that is still to be looked at to one
        that was looked at before.
        """
        if not self.too_early(began_ns):
            self.count, self.first_ns, self.scan_ns = 0, None, None

    def too_early(self, began_ns: int) -> bool:
        """Return whether a search that began then may have missed some for that reason alone."""
        return self.count > 0 and began_ns - self._reported_ns < SETTLED_NS
