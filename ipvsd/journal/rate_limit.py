"""Keeps the journal readable: so many lines about single namespaces, then counts."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from ipvsd.journal import events
from ipvsd.journal.events import Event
from ipvsd.model import HOST_NAME, NS_PER_S

# journald of systemd 219 takes 1,000 lines in 30 s from a service and drops what is more.
WINDOW_NS = 30 * NS_PER_S
LINES_MAX = 100


class RateLimiter(NamedTuple):
    """What was told in the present window, and what was left out of it."""

    window_ns: int = 0  # when it began (monotonic)
    told: int = 0
    suppressed: Dict[str, int] = {}
    slowest_usec: int = 0
    leaked: int = 0  # estimation passes

    @property
    def end_ns(self) -> int:
        """When the window is over."""
        return self.window_ns + WINDOW_NS

    @property
    def due_ns(self) -> Optional[int]:
        """When what was left out is to be told, None if nothing was."""
        return self.end_ns if self.suppressed else None


def rate_limiter(
    before: RateLimiter, new_events: List[Event], now_ns: int
) -> Tuple[RateLimiter, List[Event]]:
    """Return what to tell of the news: all about the host, so many lines about the others.

    The rest is counted, and told as one line when the window is over.
    """
    after, told = before, []
    if now_ns >= before.end_ns:
        told += suppressed(before)
        after = RateLimiter(window_ns=now_ns)
    for event in new_events:
        if event.fields.get("IPVSD_NAMESPACE", HOST_NAME) == HOST_NAME:
            told.append(event)
        elif after.told < LINES_MAX:
            told.append(event)
            after = after._replace(told=after.told + 1)
        else:
            word = event.kind.word
            usec = int(event.fields.get("IPVSD_REACTION_USEC", 0))
            after = after._replace(
                suppressed=dict(after.suppressed, **{word: after.suppressed.get(word, 0) + 1}),
                slowest_usec=max(after.slowest_usec, usec),
                leaked=after.leaked + int(event.fields.get("IPVSD_PASSES_LEAKED", 0)),
            )
    return after, told


def suppressed(before: RateLimiter) -> List[Event]:
    """Return what was left out in the present window, as at most one event."""
    if not before.suppressed:
        return []
    return [events.many(before.suppressed, before.slowest_usec, before.leaked)]
