"""Decides why a namespace is visited, and what the visit is to find out (pure)."""

from typing import Dict, Iterable, List, Mapping

from ipvsd.daemon import scan_schedule
from ipvsd.daemon.rescan import Rescan
from ipvsd.daemon.scan_schedule import ScanSchedule
from ipvsd.daemon.visit_queue import VisitQueue
from ipvsd.enforce import decide, packed
from ipvsd.enforce.enforcer import Target
from ipvsd.enforce.memory import Memory
from ipvsd.enforce.packed import PackedResult
from ipvsd.model import Identity, NamespaceResult, Reason, State


def in_turn(
    identities: List[Identity],
    queue: VisitQueue,
    schedule: ScanSchedule,
    memory: Memory,
    rescan: Rescan,
    with_counters: bool,
) -> List[Target]:
    """Return the targets of visits to namespaces that had their turn, for one reason."""
    trigger = rescan.reason
    births, targets = schedule.births, []
    first_ns = schedule.last.born_ns if schedule.last is not None else None
    for identity in identities:
        born_ns = births.time_ns(identity)
        if born_ns is None and not births.numbered:
            born_ns = first_ns
        events_ns = {Reason.BIRTH: born_ns, Reason.LOAD: rescan.event_ns}
        known, maybe_new = memory.namespaces.get(identity), identity in queue.maybe_new
        unproved = known is not None and known.cookie is None and maybe_new
        if unproved and (births.may_be(identity) or not schedule.births_reported):
            known = None  # nothing proves that it is the same one
        reason = decide.why_different(trigger, known, memory.reloaded_since(known))
        targets.append(
            Target(
                queue.places[identity].namespace,
                reason,
                known,
                event_ns=events_ns.get(reason),
                born_ns=born_ns,
                with_counters=with_counters,
                # Right after a load there are no services, and the same holder proves the rest.
                with_facts=maybe_new or known is None or trigger is not Reason.LOAD,
            )
        )
    return targets


def with_times(batch: Iterable[Target], times: Mapping[Identity, int]) -> List[Target]:
    """Return targets with the times at which a load has reached them, where these were reported."""
    return [
        target._replace(event_ns=times.get(target.namespace.identity, target.event_ns))
        if target.reason is Reason.LOAD
        else target
        for target in batch
    ]


def of_load(
    loaded_into: Dict[Identity, int], queue: VisitQueue, memory: Memory, wary: bool
) -> List[Target]:
    """Return the targets of visits to namespaces to which ip_vs has just been added, and when.

    Those that nobody may change, and those that are not visited now, wait for the end of the load.
    """
    return [
        Target(
            queue.places[identity].namespace,
            Reason.LOAD,
            memory.namespaces.get(identity),
            event_ns=event_ns,
            with_facts=identity in queue.maybe_new or identity not in memory.namespaces,
        )
        for identity, event_ns in loaded_into.items()
        if not queue.places[identity].foreign
        and not queue.is_barred(identity, wary)
        and identity not in queue.aside
    ]


def note_births(
    schedule: ScanSchedule, batch: List[Target], results: List[PackedResult], now_ns: int
) -> None:
    """Note which births the visits have found, and which they have missed."""
    gone = _gone(batch, results)
    born = {target.namespace.identity: target.born_ns for target in batch}
    visited = [packed.identity_of(one) for one in results]
    schedule.births.found(_reborn(batch, results))
    schedule.births.visited((one, born[one]) for one in visited if one not in gone)
    scan_schedule.expect_again(schedule, gone, now_ns)


def _reborn(batch: List[Target], results: List[PackedResult]) -> List[Identity]:
    """Return which known namespaces have proved to be others, which were born since."""
    known = {one.namespace.identity for one in batch if one.known and one.reason != Reason.BIRTH}
    born = [packed.identity_of(one) for one in results if packed.reason_of(one) is Reason.BIRTH]
    return [identity for identity in born if identity in known]


def _gone(batch: List[Target], results: List[PackedResult]) -> List[Identity]:
    """Return which new namespaces were gone when they were visited.

    They may still exist: a process makes a namespace, opens it and leaves it, or mounts it where
    only a search looks.
    """
    new = {target.namespace.identity for target in batch if target.known is None}
    return [
        one.namespace.identity
        for one in results
        if isinstance(one, NamespaceResult)
        and one.namespace.identity in new
        and any(key.state is State.GONE for key in one.keys)
    ]
