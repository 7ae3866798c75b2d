"""Why a namespace is visited, and since when its value may be wrong."""

from ipvsd.daemon import scan_schedule, targets
from ipvsd.daemon.namespace_jobs import Place, Scanned
from ipvsd.daemon.rescan import Rescan
from ipvsd.daemon.scan_schedule import ScanSchedule
from ipvsd.daemon.visit_queue import VisitQueue
from ipvsd.enforce import packed
from ipvsd.enforce.enforcer import Target
from ipvsd.enforce.memory import Memory
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import NS_PER_S, KeyStatus, NamespaceResult, Reason, State
from tests.builders import HOST, POD, RUN, WEB

NOW_NS = 1000 * NS_PER_S


def test_the_time_of_a_load_is_that_at_which_it_has_reached_the_namespace():
    loaded, other, born = (
        Target(namespace, reason, event_ns=5)
        for namespace, reason in ((WEB, Reason.LOAD), (POD, Reason.LOAD), (HOST, Reason.BIRTH))
    )
    times = {WEB.identity: 7, HOST.identity: 9}
    found = targets.with_times([loaded, other, born], times)
    assert [target.event_ns for target in found] == [7, 5, 5]


def test_a_new_namespace_that_is_gone_when_it_is_visited_may_still_exist():
    def visited(namespace, state, known=None):
        result = NamespaceResult(namespace, Reason.BIRTH, keys=(KeyStatus(RUN, state, "0"),))
        target = Target(namespace, Reason.BIRTH, known, born_ns=1)
        return target, packed.pack_result(result, namespace)

    visits = [
        visited(WEB, State.GONE),
        visited(POD, State.AS_WANTED),
        visited(HOST, State.GONE, NamespaceState(HOST, 0, 0, 0)),
    ]
    batch = [target for target, _ in visits]
    results = [result for _, result in visits]
    schedule = ScanSchedule()
    schedule.rescan_all(NOW_NS)
    schedule.expect_births(NOW_NS, 0, None, born={WEB.inode: 1, POD.inode: 1})
    schedule.births.found([WEB.identity, POD.identity])
    targets.note_births(schedule, batch, results, NOW_NS)
    assert schedule.births.may_be(WEB.identity) and schedule.births.count == 1
    assert schedule.births.time_ns(WEB.identity) == 1
    assert schedule.births.time_ns(POD.identity) is None


def in_turn(schedule):
    """Return what is said of two new namespaces that a scan has found."""
    queue = VisitQueue()
    places = {one.identity: Place(one, (), False, False) for one in (WEB, POD)}
    queue.add_found(Scanned(places, [], list(places), 0))
    reason = Rescan(Reason.BIRTH)
    found = targets.in_turn(list(places), queue, schedule, Memory(), reason, False)
    return [target.event_ns for target in found]


def test_each_namespace_has_the_time_of_its_own_birth_where_the_kernel_reports_whose_it_is():
    schedule = ScanSchedule()
    schedule.expect_births(NOW_NS, 0, None, {7: 1, 8: 2}, born={POD.inode: 2, 99: 1})
    schedule.begin_scan(False, NOW_NS)
    scan_schedule.begin_look(schedule, NOW_NS)
    assert in_turn(schedule) == [None, 2]
    schedule.expect_births(NOW_NS, 1, 1, {9: 1})  # what was lost has no number
    scan_schedule.begin_look(schedule, NOW_NS)
    assert in_turn(schedule) == [None, 2]


def test_elsewhere_each_has_the_time_of_the_first_birth():
    schedule = ScanSchedule()
    schedule.expect_births(NOW_NS, 2, 1, {7: 1, 8: 2})
    schedule.begin_scan(False, NOW_NS)
    scan_schedule.begin_look(schedule, NOW_NS)
    assert in_turn(schedule) == [1, 1]
