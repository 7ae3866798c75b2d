"""Decides when a namespace is visited again whose way hangs: ever later, and never never."""

from typing import Dict, Iterable, List, NamedTuple, Optional

from ipvsd.model import NS_PER_S, Identity

# It is visited again after so long, then after twice as long, and so on.
WAIT_MIN_NS = 30 * NS_PER_S
WAIT_MAX_NS = 600 * NS_PER_S


class _Aside(NamedTuple):
    times: int
    until_ns: int


class PutAside:
    """The namespaces whose way has hung at the last visit. All times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._aside: Dict[Identity, _Aside] = {}

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._aside

    def __len__(self) -> int:
        return len(self._aside)

    def add(self, identity: Identity, now_ns: int) -> None:
        """Put aside what hangs now."""
        times = self._aside[identity].times + 1 if identity in self._aside else 1
        wait_ns = min(WAIT_MIN_NS << min(times - 1, 10), WAIT_MAX_NS)
        self._aside[identity] = _Aside(times, now_ns + wait_ns)

    def next_ns(self) -> Optional[int]:
        """Return when the next one is due, None if there is none."""
        return min((one.until_ns for one in self._aside.values()), default=None)

    def due(self, now_ns: int) -> List[Identity]:
        """Return those that are due; they stay here until a visit has not hung."""
        due = [identity for identity, one in self._aside.items() if one.until_ns <= now_ns]
        for identity in due:  # it may be that they cannot be visited just now
            again_ns = now_ns + WAIT_MIN_NS
            self._aside[identity] = self._aside[identity]._replace(until_ns=again_ns)
        return due

    def remove(self, identities: Iterable[Identity]) -> None:
        """Forget namespaces, since they did not hang or are gone."""
        for identity in identities:
            self._aside.pop(identity, None)

    def clear(self) -> None:
        """Forget all of them, so that they are visited as the others are."""
        self._aside = {}
