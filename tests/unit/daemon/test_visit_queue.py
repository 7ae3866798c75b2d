"""Which namespaces wait for a visit, in which order, and what visits leave for the metrics."""

from ipvsd.daemon.namespace_jobs import Place, Scanned
from ipvsd.daemon.put_aside import WAIT_MAX_NS, WAIT_MIN_NS, PutAside
from ipvsd.daemon.visit_queue import VisitQueue, in_turn
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import KeyStatus, Namespace, NamespaceResult, Owner, Reason, State
from ipvsd.status.metrics import Traffic
from tests.builders import LB, POD, RUN, WEB

COUNTERS = Counters(1, 2, 3, 4, 5)


def visited(namespace, counters=COUNTERS, state=State.AS_WANTED, estimators=3, retry_at_ns=None):
    keys = (KeyStatus(RUN, state),)
    return NamespaceResult(
        namespace,
        Reason.DRIFT,
        keys=keys,
        estimators=estimators,
        counters=counters,
        retry_at_ns=retry_at_ns,
    )


def place(namespace, foreign=False, served=False):
    return Place(namespace, ("/proc/7/ns/net",), foreign, served)


def found(*places, gone=(), maybe_new=True):
    by_identity = {one.namespace.identity: one for one in places}
    return Scanned(by_identity, [one.identity for one in gone], list(by_identity) * maybe_new, 0)


def queue_of(*places, **rest):
    queue = VisitQueue()
    queue.add_found(found(*places, **rest))
    return queue


def test_the_counters_of_the_last_visit_stay_while_the_namespace_has_services():
    queue = queue_of(place(WEB))
    queue.note_result(visited(WEB))
    assert list(queue.traffic.values()) == [Traffic(WEB, 3, COUNTERS)]
    queue.note_result(visited(WEB, counters=None))
    assert not queue.traffic


def test_what_is_gone_leaves_nothing_behind():
    queue = queue_of(place(WEB), place(LB))
    for namespace in (WEB, LB):
        queue.note_result(visited(namespace, retry_at_ns=5))
        queue.aside.add(namespace.identity, 0)
    queue.add_found(found(gone=[WEB]))
    assert list(queue.traffic) == [LB.identity] and WEB.identity not in queue.aside
    assert set(queue.urgent) == set(queue.places) == {LB.identity}
    queue.note_result(visited(WEB, retry_at_ns=5))  # of a visit before it was gone
    assert list(queue.traffic) == [LB.identity]
    queue.clear()
    assert not queue.traffic and not queue.waiting, "ip_vs is not loaded"


def test_a_namespace_of_another_user_namespace_has_no_series():
    """Any user can make thousands of them, with services and names of their choice."""
    queue = queue_of(place(WEB))
    queue.note_result(visited(WEB, state=State.READ_ONLY))
    assert not queue.traffic


def test_foreign_namespaces_are_last_and_no_full_scan_has_them():
    queue = queue_of(place(WEB, foreign=True), place(LB))
    assert list(queue.urgent) == [LB.identity] and list(queue.foreign) == [WEB.identity]
    queue.restart(with_aside=True)
    assert queue.take(wary=False) == [LB.identity]
    assert not queue.waiting
    assert queue.take(wary=False) == [WEB.identity]


def test_the_busiest_namespaces_are_first_in_a_full_scan():
    queue = queue_of(place(WEB), place(LB), place(POD), maybe_new=False)
    for namespace, estimators in ((WEB, 1), (LB, 900), (POD, 30)):
        queue.note_result(visited(namespace, estimators=estimators))
    queue.restart(with_aside=False)
    assert queue.take(wary=False) == [LB.identity, POD.identity, WEB.identity]


def test_one_group_does_not_delay_the_others():
    """Whoever creates hundreds at once waits for their own, and the others do not."""
    crowd = [(4, number) for number in range(500)]
    order = in_turn([*crowd, (5, 1), (5, 2)], lambda identity: str(identity[0]))
    assert order.index((5, 1)) <= 1 and order.index((5, 2)) <= 3
    assert sorted(order) == sorted([*crowd, (5, 1), (5, 2)])
    owned = [place(Namespace(4, number, "x", Owner(cgroup="/crowd"))) for number in range(200, 400)]
    queue = queue_of(*owned, place(WEB))
    assert WEB.identity in list(queue.urgent)[:2]


def test_ways_that_may_hang_are_not_taken_by_who_is_wary():
    queue = queue_of(place(WEB, served=True), place(LB))
    assert queue.barred_count(wary=True) == 1 and queue.barred_count(wary=False) == 0
    assert queue.take(wary=True) == [LB.identity]


def test_what_was_put_aside_is_no_part_of_a_routine_scan_and_never_lost():
    queue = queue_of(place(WEB), place(LB))
    queue.take(wary=False)
    queue.aside.add(WEB.identity, 0)
    queue.restart(with_aside=False)
    assert queue.take(wary=False) == [LB.identity]
    queue.add_found(found(place(WEB)))  # with another holder
    assert not queue.waiting
    assert queue.retry_at_ns() == WAIT_MIN_NS
    queue.add_due_retries(WAIT_MIN_NS)
    assert queue.take(wary=False) == [WEB.identity]
    assert queue.retry_at_ns() is not None, "in case that it was not even visited"
    queue.restart(with_aside=True)
    assert set(queue.take(wary=False)) == {WEB.identity, LB.identity}


def test_the_wait_doubles_up_to_a_limit_and_a_visit_that_ends_ends_it():
    aside = PutAside()
    waits = []
    for _ in range(8):
        aside.add(WEB.identity, 0)
        waits.append(aside.next_ns())
    assert waits[:3] == [WAIT_MIN_NS, 2 * WAIT_MIN_NS, 4 * WAIT_MIN_NS]
    assert waits[-1] == WAIT_MAX_NS
    aside.remove([WEB.identity])
    assert len(aside) == 0 and aside.next_ns() is None


def test_what_was_taken_and_not_visited_is_next():
    queue = queue_of(place(WEB), place(LB))
    batch = queue.take(wary=False)
    queue.add_found(found(place(POD)))
    queue.give_back(batch)
    assert list(queue.urgent) == [*batch, POD.identity]


def test_a_visit_that_finds_another_owner_renames_the_place():
    queue = queue_of(place(WEB))
    renamed = WEB._replace(name="other")
    queue.note_visits([WEB.identity], [renamed])
    assert queue.places[WEB.identity].namespace == renamed
    assert WEB.identity not in queue.maybe_new
