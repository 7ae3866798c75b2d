"""Decides which namespaces are visited while ip_vs is still being loaded.

The kernel adds ip_vs to one namespace after the other, and where there are many that takes longer
than the first estimation run waits. The probe of births reports each: it is visited at once, and
not again when the load has ended. All times are monotonic nanoseconds.
"""

import itertools
from typing import Dict, Iterable, Optional, Set

from ipvsd.daemon.namespace_jobs import Places
from ipvsd.enforce import packed
from ipvsd.enforce.packed import PackedResult
from ipvsd.model import NS_PER_MS, Identity, NamespaceResult, State

# The report comes right before the sysctls do.
AGAIN_NS = 4 * NS_PER_MS
_NOT_THERE = (State.LOADING, State.ABSENT)


class EarlyVisits:
    """What was reported of a load that is under way, and what is already as it should be."""

    def __init__(self, device: int) -> None:
        """Take the device of all nsfs files."""
        self.loading = False  # a load is under way
        self.scan_due = False  # nobody has looked for namespaces since it began
        self.times: Dict[Identity, int] = {}  # when the last load added ip_vs, where reported
        self._device = device
        self._instance: Optional[int] = None  # of ip_vs
        self._set: Set[Identity] = set()
        self._reported: Dict[Identity, int] = {}  # not visited yet, and when ip_vs was added
        self._taken: Dict[Identity, int] = {}
        self._not_before_ns = 0

    def has_begun(self, instance: Optional[int]) -> bool:
        """Return whether a load of this instance of ip_vs is under way."""
        return self.loading and instance == self._instance

    def begin(self, instance: Optional[int]) -> None:
        """Note that a load of this instance of ip_vs is under way."""
        self.end(None)
        self.loading = self.scan_due = True
        self._instance = instance

    def end(self, instance: Optional[int]) -> Set[Identity]:
        """Note that no load is under way any more.

        Return what was set during the load if it was of this instance of ip_vs.
        """
        were_set = self._set
        if not self.has_begun(instance):
            were_set, self.times = set(), {}  # of another load
        self.loading = self.scan_due = False
        self._set, self._reported, self._taken = set(), {}, {}
        return were_set

    def report(self, loaded_into: Dict[int, int]) -> None:
        """Note when ip_vs was added to namespaces, by inode number; visit them while it loads."""
        found = {(self._device, inode): at_ns for inode, at_ns in loaded_into.items()}
        self.times.update(found)
        if self.loading:
            self._reported.update(found)

    def next_ns(self) -> Optional[int]:
        """Return when the next scan or visit is due, None for never."""
        if self.scan_due:
            return 0
        return self._not_before_ns if self._reported else None

    def take(self, places: Places, most: int) -> Dict[Identity, int]:
        """Return so many namespaces at most to be visited now, with those times.

        Those that no scan has found wait for the end of the load.
        """
        self._reported = {one: at for one, at in self._reported.items() if one in places}
        self._taken = dict(itertools.islice(self._reported.items(), most))
        for identity in self._taken:
            del self._reported[identity]
        return self._taken

    def note(self, results: Iterable[PackedResult], now_ns: int) -> None:
        """Note what the visits came to; where the sysctls were not there yet, visit again."""
        for result in results if self.loading else ():
            identity = packed.identity_of(result)
            if not isinstance(result, NamespaceResult):
                self._set.add(identity)
            elif any(key.state in _NOT_THERE for key in result.keys) and identity in self._taken:
                self._reported[identity] = self._taken[identity]
                self._not_before_ns = now_ns + AGAIN_NS
