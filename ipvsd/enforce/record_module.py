"""Decides what loads and removals of ip_vs mean for the memory, and which events they are."""

from typing import List, Optional, Tuple

from ipvsd.enforce import exposure
from ipvsd.enforce.decide import LOAD_WAIT_NS
from ipvsd.enforce.memory import Memory
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.model import FOREIGN, Identity, Module
from ipvsd.text import format_duration


def may_be_reloaded(memory: Memory, instance: Optional[int]) -> bool:
    """Return whether ip_vs may have been loaded since the host's namespace was last checked.

    `instance` is what kernel.module.instance() returns now. A load is recognised even if its
    `add`, or that `add` and the `remove` before it, was lost.
    """
    was_absent = memory.module is not None and not memory.module.loaded
    is_another = None not in (memory.instance, instance) and memory.instance != instance
    return was_absent or is_another


def record_module(
    memory: Memory, module: Module, event_ns: Optional[int], now_ns: int
) -> Tuple[Memory, List[Event]]:
    """Return the memory with a state of ip_vs that was read or reported, and the events.

    `event_ns` is when the state was reported (monotonic), None if it was not.
    """
    before, since = memory.module, memory.waiting_since_ns
    new_events: List[Event] = []
    if before is not None and before.loaded and not module.loaded:
        new_events.append(events.plain(Kind.REMOVED, "ip_vs: removed; waiting for the next load"))
    if module is Module.COMING:
        since = since if since is not None else event_ns if event_ns is not None else now_ns
        waited_out = now_ns - since >= LOAD_WAIT_NS
        if waited_out and not memory.waited_out:
            message = (
                f"ip_vs: still loading after {format_duration(LOAD_WAIT_NS)}; the next periodic "
                "check that finds its sysctls sets them"
            )
            new_events.append(events.plain(Kind.LOAD_SLOW, message))
        memory = memory._replace(module=module, waiting_since_ns=since, waited_out=waited_out)
        return memory, new_events
    if since is not None and not module.loaded:
        message = "ip_vs: load failed; waiting for the next load"
        new_events.append(events.plain(Kind.LOAD_FAILED, message))
    memory = memory._replace(module=module, waiting_since_ns=None, waited_out=False)
    return memory, new_events


def without_module(memory: Memory, host: Identity, now_ns: int) -> Memory:
    """Return the memory after ip_vs was removed, and with it the values of all namespaces.

    Conditions that were logged stay, so that the next load does not log them again.
    """
    namespaces, revision, tally = dict(memory.namespaces), memory.revision, memory.tally
    for identity, ns_state in memory.namespaces.items():
        foreign = all(key.state in FOREIGN for key in ns_state.keys)
        if identity != host and not foreign:
            revision = memory.revision + 1
            closed = exposure.right(ns_state.exposure, now_ns)
            tally = tally.plus_exposure(ns_state.exposure, closed)
            namespaces[identity] = ns_state._replace(
                keys=(), rule="", contests={}, held_since_ns=None, exposure=closed
            )
    return memory._replace(namespaces=namespaces, revision=revision, tally=tally)


def record_lost_events(memory: Memory, cause: str) -> Tuple[Memory, Event]:
    """Return the memory after the uevent socket failed or overflowed, and the event of that."""
    message = f"uevents: some were lost ({cause}); everything was checked again"
    memory = memory._replace(events_lost=memory.events_lost + 1)
    return memory, events.plain(Kind.EVENTS_LOST, message)
