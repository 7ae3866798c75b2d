"""Which namespaces are visited while ip_vs is still being loaded."""

import pytest

from ipvsd.daemon.early_visits import AGAIN_NS, EarlyVisits
from ipvsd.enforce import packed
from ipvsd.model import KeyStatus, Namespace, NamespaceResult, Reason, Setting, State

DEVICE, INSTANCE = 4, 77
NOW_NS = 1000
ONE, TWO, UNKNOWN = ((DEVICE, inode) for inode in (1, 2, 3))
PLACES = {ONE: "place", TWO: "place"}


@pytest.fixture
def early():
    made = EarlyVisits(DEVICE)
    made.begin(INSTANCE)
    made.scan_due = False
    return made


def result(identity, state):
    """Return what the worker sends about a visit that has found this state."""
    namespace = Namespace(*identity, "web")
    key = KeyStatus(Setting("net.ipv4.vs.run_estimation", "0", ""), state, "0")
    return packed.pack_result(NamespaceResult(namespace, Reason.LOAD, keys=(key,)), namespace)


def test_a_load_begins_with_a_scan_and_waits_for_reports_after_it():
    early = EarlyVisits(DEVICE)
    assert early.next_ns() is None and not early.has_begun(None)
    early.begin(INSTANCE)
    assert early.scan_due and early.next_ns() == 0
    assert early.has_begun(INSTANCE) and not early.has_begun(INSTANCE + 1)
    early.scan_due = False
    assert early.next_ns() is None


def test_each_is_visited_once_and_with_its_own_time(early):
    early.report({1: 10, 2: 20})
    assert early.next_ns() <= NOW_NS
    assert early.take(PLACES, most=1) == {ONE: 10}
    assert early.take(PLACES, most=9) == {TWO: 20}
    assert early.next_ns() is None


def test_what_no_scan_has_found_waits_for_the_end_of_the_load(early):
    early.report({3: 30})
    assert early.take(PLACES, most=9) == {} and early.next_ns() is None


@pytest.mark.parametrize("state", [State.LOADING, State.ABSENT])
def test_where_the_sysctls_are_not_there_yet_is_visited_again(early, state):
    early.report({1: 10})
    early.take(PLACES, most=9)
    early.note([result(ONE, state)], NOW_NS)
    assert early.next_ns() == NOW_NS + AGAIN_NS
    assert early.take(PLACES, most=9) == {ONE: 10}, "the time is still that of the report"


def test_at_the_end_those_are_left_out_that_are_as_wanted(early):
    early.report({1: 10, 2: 20})
    early.take(PLACES, most=9)
    early.note([result(ONE, State.AS_WANTED), result(TWO, State.DENIED)], NOW_NS)
    assert early.end(INSTANCE) == {ONE}
    assert early.end(INSTANCE) == set(), "another load begins with nothing"


@pytest.mark.parametrize("instance", [INSTANCE + 1, None])
def test_what_was_set_in_another_load_is_not_left_out(early, instance):
    early.report({1: 10})
    early.take(PLACES, most=9)
    early.note([result(ONE, State.AS_WANTED)], NOW_NS)
    assert early.end(instance) == set()


def test_without_a_load_nothing_is_noted():
    early = EarlyVisits(DEVICE)
    early.note([result(ONE, State.AS_WANTED)], NOW_NS)
    early.begin(None)
    assert early.end(None) == set()


@pytest.mark.parametrize(
    "why, instance, times",
    [("of this load", INSTANCE, {ONE: 10, TWO: 20}), ("of another load", INSTANCE + 1, {TWO: 20})],
)
def test_the_times_of_what_is_set_after_the_load_are_those_of_their_reports(
    early, why, instance, times
):
    early.report({1: 10})
    early.end(instance)
    early.report({2: 20})  # it was read when the load had ended
    assert early.times == times, why
    assert early.next_ns() is None, "all are visited now"
