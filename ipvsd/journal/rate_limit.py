"""Decides which events are logged, so that the journal stays readable: first lines, then counts."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from ipvsd.journal import events
from ipvsd.journal.events import Event
from ipvsd.model import HOST_NAME, NS_PER_S

# journald of systemd 219 takes 1,000 lines in 30 s from a service and drops the rest.
WINDOW_NS = 30 * NS_PER_S
LINES_MAX = 100


class RateLimiter(NamedTuple):
    """What was logged in the present window, and what was suppressed."""

    window_ns: int = 0  # when it began (monotonic)
    logged: int = 0
    suppressed: Dict[str, int] = {}  # by the event's word
    slowest_usec: int = 0
    leaked: int = 0  # estimation runs

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

    The rest is counted, and logged as one summary when the window is over.
    """
    after, to_log = before, []
    if now_ns >= before.end_ns:
        to_log += summary(before)
        after = RateLimiter(window_ns=now_ns)
    for event in new_events:
        if event.fields.get("IPVSD_NAMESPACE", HOST_NAME) == HOST_NAME:
            to_log.append(event)
        elif after.logged < LINES_MAX:
            to_log.append(event)
            after = after._replace(logged=after.logged + 1)
        else:
            word = event.kind.word
            usec = int(event.fields.get("IPVSD_REACTION_USEC", 0))
            after = after._replace(
                suppressed=dict(after.suppressed, **{word: after.suppressed.get(word, 0) + 1}),
                slowest_usec=max(after.slowest_usec, usec),
                leaked=after.leaked + int(event.fields.get("IPVSD_PASSES_LEAKED", 0)),
            )
    return after, to_log


def summary(limiter: RateLimiter) -> List[Event]:
    """Return the events that were suppressed in the present window, as at most one event."""
    if not limiter.suppressed:
        return []
    return [events.many(limiter.suppressed, limiter.slowest_usec, limiter.leaked)]
