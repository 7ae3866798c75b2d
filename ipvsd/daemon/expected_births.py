"""Decides when to look again for births that were reported and not found."""

from typing import Dict, Iterable, Optional, Tuple

from ipvsd.model import NS_PER_MS, NS_PER_S, Identity

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
# Any user can cause thousands of births a second.
TIMES_MAX = 4096


class ExpectedBirths:
    """Births that were reported and are not found yet. All times are monotonic nanoseconds.

    Where the kernel reports the inode number of each, a birth is found when that number is. Where
    it does not, births are counted, and any new namespace may be any of them.
    """

    def __init__(self) -> None:
        self._counted = 0  # of unknown inode number
        self._missing: Dict[int, None] = {}  # inode numbers of the others
        self._times: Dict[int, int] = {}  # of births by inode number, until they are visited
        self.numbered = False  # reports have inode numbers, as far as they are complete
        # When the first of those of unknown number was; None if one has no time.
        self.first_ns: Optional[int] = None
        self.scan_ns: Optional[int] = None  # when to scan, unless looks have found them before
        self._reported_ns = 0  # when the last of them was
        self._tries = 0  # scans for them since then

    @property
    def count(self) -> int:
        """How many births were not found yet."""
        return self._counted + len(self._missing)

    def report(
        self, births: int, first_ns: Optional[int], now_ns: int, looked: bool = False
    ) -> None:
        """Expect so many births more, of which the first was at `first_ns` (None if unknown).

        Where they are `looked` for, one scan follows later, and no other one.
        """
        known = [one for one in (self.first_ns, first_ns) if one is not None]
        if births:
            if self._counted:
                first_ns = min(known) if len(known) > 1 else None
            self._counted, self.first_ns = self._counted + births, first_ns
        self._reported_ns, self._tries = now_ns, len(RETRIES_NS) if looked else 0
        if looked and self.scan_ns is None:
            self.scan_ns = now_ns + LOOKED_NS

    def report_numbered(self, born: Dict[int, int]) -> None:
        """Expect the births of these inode numbers, which were at these times; report() follows."""
        self.numbered = self.numbered or bool(born)
        for inode, time_ns in born.items():
            self._times.pop(inode, None)  # the last one comes last
            self._times[inode] = time_ns
            self._missing[inode] = None
        for _ in range(len(self._times) - TIMES_MAX):
            inode = next(iter(self._times))
            del self._times[inode]  # a full scan finds it
            self._missing.pop(inode, None)

    def expect_again(self, lost: Iterable[Identity], now_ns: int) -> None:
        """Expect births that were found and have lost their holder before they were visited."""
        counted = 0
        for _, inode in lost:
            if inode in self._times:
                self._missing[inode] = None
            else:
                counted += 1
        self.report(counted, None, now_ns, looked=True)

    def found(self, new: Iterable[Identity]) -> None:
        """Expect these namespaces no longer, which were not known before."""
        for _, inode in new:
            if inode in self._missing:
                del self._missing[inode]
            elif self._counted:
                self._counted -= 1
        self._settle()

    def time_ns(self, identity: Identity) -> Optional[int]:
        """Return when this namespace was born, None if that was not reported."""
        return self._times.get(identity[1])

    def may_be(self, identity: Identity) -> bool:
        """Return whether this namespace, known or not, may be one that is expected."""
        return self._counted > 0 or identity[1] in self._missing

    def visited(self, born: Iterable[Tuple[Identity, Optional[int]]]) -> None:
        """Forget the births of namespaces that were visited, by what was known of their times.

        Where another birth of the same number was reported meanwhile, that one is still expected.
        """
        for (_, inode), born_ns in born:
            if born_ns is not None and self._times.get(inode) == born_ns:
                del self._times[inode]
                self._missing.pop(inode, None)
        self._settle()

    def _settle(self) -> None:
        if not self._counted:
            self.first_ns = None
        if not self.count:
            self.scan_ns = None

    def forget_times(self) -> None:
        """Forget when births were: from now on they may not be reported any more."""
        self.numbered = False
        self._times.clear()

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
            self._counted = 0
            self._missing.clear()
            self._settle()

    def too_early(self, began_ns: int) -> bool:
        """Return whether a search that began then may have missed some for that reason alone."""
        return self.count > 0 and began_ns - self._reported_ns < SETTLED_NS
