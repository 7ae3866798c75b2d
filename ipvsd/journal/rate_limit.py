"""Decides which events are logged, so that the journal stays readable: first lines, then counts."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.model import HOST_NAME, NS_PER_S

# journald of systemd 219 takes 1,000 lines in 30 s from a service and drops the rest.
WINDOW_NS = 30 * NS_PER_S
LINES_MAX = 100
# Of these, so many may be about namespaces that any user can create: they hide nothing else.
FOREIGN_LINES_MAX = 20
# An estimation run may have leaked: never only counted.
SLOW_USEC = 2_000_000


class RateLimiter(NamedTuple):
    """What was logged in the present window, and what was suppressed."""

    window_ns: int = 0  # when it began (monotonic)
    logged: int = 0
    suppressed: Dict[str, int] = {}  # by the event's word
    slowest_usec: int = 0
    leaked: int = 0  # estimation runs
    foreign: int = 0  # lines about namespaces that belong to other user namespaces, logged

    @property
    def end_ns(self) -> int:
        """When the window is over."""
        return self.window_ns + WINDOW_NS

    @property
    def due_ns(self) -> Optional[int]:
        """When the summary of suppressed events is due, None if there are none."""
        return self.end_ns if self.suppressed else None


def limit_rate(
    before: RateLimiter, new_events: List[Event], now_ns: int
) -> Tuple[RateLimiter, List[Event]]:
    """Return the events to log: all about the host, and a limited number about other namespaces.

    The rest is counted, and logged as one summary when the window is over. A reaction that took
    longer than the kernel's period is always logged by itself, up to the limit once more.
    """
    after, to_log = before, []
    if now_ns >= before.end_ns:
        to_log += summary(before)
        after = RateLimiter(window_ns=now_ns)
    for event in new_events:
        if event.fields.get("IPVSD_NAMESPACE", HOST_NAME) == HOST_NAME:
            to_log.append(event)
        elif _has_room(after, event):
            to_log.append(event)
            foreign = after.foreign + (event.kind is Kind.FOREIGN)
            after = after._replace(logged=after.logged + 1, foreign=foreign)
        else:
            word = event.kind.word
            usec = int(event.fields.get("IPVSD_REACTION_USEC", 0))
            after = after._replace(
                suppressed=dict(after.suppressed, **{word: after.suppressed.get(word, 0) + 1}),
                slowest_usec=max(after.slowest_usec, usec),
                leaked=after.leaked + int(event.fields.get("IPVSD_PASSES_LEAKED", 0)),
            )
    return after, to_log


def _has_room(limiter: RateLimiter, event: Event) -> bool:
    """Return whether one more line about a namespace fits into the present window."""
    if event.kind is Kind.FOREIGN:
        return limiter.foreign < FOREIGN_LINES_MAX and limiter.logged < LINES_MAX
    slow = int(event.fields.get("IPVSD_REACTION_USEC", 0)) >= SLOW_USEC
    return limiter.logged < (2 * LINES_MAX if slow else LINES_MAX)


def summary(limiter: RateLimiter) -> List[Event]:
    """Return the events that were suppressed in the present window, as at most one event."""
    if not limiter.suppressed:
        return []
    return [events.many(limiter.suppressed, limiter.slowest_usec, limiter.leaked)]
