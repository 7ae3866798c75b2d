"""What visits leave for the metrics."""

from ipvsd.daemon.visit_queue import Discovered, VisitQueue
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import KeyStatus, NamespaceResult, Reason, State
from ipvsd.status.metrics import Traffic
from tests.builders import LB, RUN, WEB

COUNTERS = Counters(1, 2, 3, 4, 5)


def visited(namespace, counters=COUNTERS, state=State.AS_WANTED):
    keys = (KeyStatus(RUN, state),)
    return NamespaceResult(namespace, Reason.DRIFT, keys=keys, estimators=3, counters=counters)


def test_the_counters_of_the_last_visit_stay_while_the_namespace_has_services():
    queue = VisitQueue()
    queue.note_visit(visited(WEB))
    assert list(queue.traffic.values()) == [Traffic(WEB, 3, COUNTERS)]
    queue.note_visit(visited(WEB, counters=None))
    assert not queue.traffic


def test_counters_of_a_namespace_that_is_gone_are_forgotten():
    queue = VisitQueue()
    queue.note_visit(visited(WEB))
    queue.note_visit(visited(LB))
    queue.add_found(Discovered({LB.identity: (LB, ())}, set(), 0, 0), full=False, visited=None)
    assert list(queue.traffic) == [LB.identity]
    queue.clear()
    assert not queue.traffic, "ip_vs is not loaded"


def test_a_namespace_of_another_user_namespace_has_no_series():
    """Any user can make thousands of them, with services and names of their choice."""
    queue = VisitQueue()
    queue.note_visit(visited(WEB, state=State.READ_ONLY))
    assert not queue.traffic
