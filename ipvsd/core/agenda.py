"""When to look for namespaces again, and how thoroughly."""

from enum import Enum
from typing import NamedTuple, Optional, Tuple

from ipvsd.core.model import NS_PER_MS, NS_PER_S

# A birth is told before the namespace has a holder that can be found, by some microseconds or,
# on a busy machine, milliseconds: look now, and then after these waits. What has not been found
# then is gone again, or held in a way that only a deep look finds.
RETRIES_NS = (4 * NS_PER_MS, 16 * NS_PER_MS, 64 * NS_PER_MS, 256 * NS_PER_MS)

# Longer than it takes from a birth to a holder that can be found.
VISIBLE_NS = 100 * NS_PER_MS

# What looks may cost while namespaces come and go all the time: this part of the time each.
GLANCE_SHARE = 5
DEEP_SHARE = 10
# And what sweeps may, be there ever so many namespaces: this part of a CPU. Short ones are made as
# often as the policy says; every 30 seconds, as it does by default, that is no more.
SWEEP_SHARE = 250
SHORT_SWEEP_NS = 120 * NS_PER_MS

# Where no births are told, a new namespace is found by a glance well before its first estimation.
POLL_NS = NS_PER_S
# After a look that has failed.
AGAIN_NS = NS_PER_S
# All births being told, a deep look only finds what has changed hands.
DEEP_PERIOD_NS = 600 * NS_PER_S


class Look(Enum):
    """How to look."""

    GLANCE = "glance"  # for holders that are new, and into their namespaces
    DEEP = "deep"  # the same, also for holders that are hard to find
    SWEEP = "sweep"  # into every namespace


class Agenda(NamedTuple):
    """When the next looks are due (monotonic nanoseconds); None for not at all."""

    sweep_ns: Optional[int] = None
    deep_ns: Optional[int] = None
    glance_ns: Optional[int] = None
    births: int = 0  # told, and not yet found
    born_ns: Optional[int] = None  # when the first of them was; None where one has no time
    heard_ns: int = 0  # when the last of them was told
    tries: int = 0  # how often they were looked for again
    retry_ns: Optional[int] = None  # when they are to be next; None when only a deep look may help
    glance_after_ns: int = 0  # so that looking costs no more than its share
    deep_after_ns: int = 0


class Done(NamedTuple):
    """How a look went."""

    look: Look
    found: int  # new namespaces
    took_ns: int  # without the visits
    period_ns: int  # between two sweeps, as the policy has it
    told: bool  # whether births are told of at all


def earliest_birth(agenda: Agenda, look: Look, before_ns: Optional[int]) -> Optional[int]:
    """Return the moment before which nothing was born that a look finds, None if it is not told.

    That is the first birth that was told and not found; but what a glance finds cannot be much
    older than the look before it (`before_ns`), which would have found it.
    """
    if agenda.born_ns is None or before_ns is None or look is not Look.GLANCE:
        return agenda.born_ns
    return max(agenda.born_ns, before_ns - VISIBLE_NS)


def all_anew(agenda: Agenda, now_ns: int) -> Agenda:
    """Return the agenda when everything is to be looked at, now."""
    return agenda._replace(sweep_ns=now_ns, deep_ns=now_ns, deep_after_ns=now_ns)


def hinted(agenda: Agenda, now_ns: int, births: int = 0, born_ns: Optional[int] = None) -> Agenda:
    """Return the agenda after something told that namespaces may be new.

    Hints that come while a look is due or under way are merged with it. A hint that does not say
    how many (`births` = 0), such as a new mount, is followed by one glance.
    """
    agenda = _glance_at(agenda, max(now_ns, agenda.glance_after_ns))
    if not births:
        return agenda
    if not agenda.births:
        return agenda._replace(births=births, born_ns=born_ns, heard_ns=now_ns, tries=0)
    known = [moment for moment in (agenda.born_ns, born_ns) if moment is not None]
    return agenda._replace(
        births=agenda.births + births,
        born_ns=min(known) if len(known) > 1 else None,
        heard_ns=now_ns,
        # One that is long gone must not use up the tries of those that come after it.
        tries=agenda.tries if agenda.retry_ns is not None else 0,
    )


def next_look(agenda: Agenda, now_ns: int) -> Tuple[Optional[Look], Optional[int]]:
    """Return the look that is due, if any, and else when the next one is."""
    due = (
        (agenda.sweep_ns, Look.SWEEP),
        (agenda.glance_ns, Look.GLANCE),
        (agenda.deep_ns, Look.DEEP),
    )
    for moment, look in due:
        if moment is not None and moment <= now_ns:
            return look, now_ns
    return None, min((moment for moment, _ in due if moment is not None), default=None)


def begun(agenda: Agenda, look: Look, now_ns: int) -> Agenda:
    """Return the agenda when a look has begun: hints that come from now on ask for another.

    What a deep look does not find is not there, if it was told long enough ago to be visible.
    """
    if look is Look.SWEEP:
        return agenda._replace(sweep_ns=None, glance_ns=None)
    if look is Look.GLANCE:
        return agenda._replace(glance_ns=None)
    agenda = agenda._replace(deep_ns=None, glance_ns=None)
    if now_ns - agenda.heard_ns >= VISIBLE_NS:
        return agenda._replace(births=0, born_ns=None, retry_ns=None)
    if agenda.born_ns is None:
        return agenda
    return agenda._replace(born_ns=max(agenda.born_ns, now_ns - VISIBLE_NS))


def looked(agenda: Agenda, done: Done, now_ns: int) -> Agenda:
    """Return the agenda after a look has ended."""
    births, deep_ns = agenda.births, agenda.deep_ns
    if done.look is Look.DEEP:
        agenda = agenda._replace(deep_after_ns=now_ns + DEEP_SHARE * done.took_ns)
        wait_ns = DEEP_PERIOD_NS if done.told else done.period_ns
        deep_ns = max(now_ns + wait_ns, agenda.deep_after_ns)
    else:
        births = max(0, births - done.found)
        agenda = agenda._replace(glance_after_ns=now_ns + GLANCE_SHARE * done.took_ns)
    if done.look is Look.SWEEP:
        agenda = agenda._replace(sweep_ns=now_ns + done.period_ns)
    agenda = agenda._replace(births=births, deep_ns=deep_ns)
    if births:
        return _retried(agenda, now_ns)
    agenda = agenda._replace(born_ns=None, retry_ns=None)
    return agenda if done.told else _glance_at(agenda, now_ns + POLL_NS)


def swept(agenda: Agenda, cpu_ns: int, now_ns: int) -> Agenda:
    """Return the agenda after the last visit of a sweep, all of which took so much CPU time."""
    if agenda.sweep_ns is None or cpu_ns <= SHORT_SWEEP_NS:
        return agenda
    return agenda._replace(sweep_ns=max(agenda.sweep_ns, now_ns + SWEEP_SHARE * cpu_ns))


def _retried(agenda: Agenda, now_ns: int) -> Agenda:
    """Return the agenda when births were not found: with the next retry, or a deep look."""
    if agenda.retry_ns is not None and now_ns < agenda.retry_ns:
        return _glance_at(agenda, agenda.retry_ns)
    if agenda.tries == len(RETRIES_NS):
        if agenda.retry_ns is None:
            return agenda
        due_ns = max(now_ns, agenda.deep_after_ns)
        deep_ns = due_ns if agenda.deep_ns is None else min(due_ns, agenda.deep_ns)
        agenda = agenda._replace(deep_ns=deep_ns, retry_ns=None)
        if now_ns - agenda.heard_ns >= VISIBLE_NS:
            return agenda
        agenda = agenda._replace(tries=0)
    retry_ns = now_ns + RETRIES_NS[agenda.tries]
    return _glance_at(agenda._replace(tries=agenda.tries + 1, retry_ns=retry_ns), retry_ns)


def failed(agenda: Agenda, look: Look, now_ns: int) -> Agenda:
    """Return the agenda after a look that has come to nothing: it is made again soon."""
    due_ns = now_ns + AGAIN_NS
    if look is Look.SWEEP:
        return agenda._replace(sweep_ns=due_ns)
    return agenda._replace(deep_ns=due_ns) if look is Look.DEEP else _glance_at(agenda, due_ns)


def _glance_at(agenda: Agenda, due_ns: int) -> Agenda:
    earliest_ns = due_ns if agenda.glance_ns is None else min(due_ns, agenda.glance_ns)
    return agenda._replace(glance_ns=earliest_ns)
