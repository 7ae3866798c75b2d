"""Several checks of the host: which events each one logs, and what is remembered."""

import pytest

from ipvsd.enforce import record
from ipvsd.enforce.decide import LOAD_WAIT_NS
from ipvsd.enforce.memory import Memory
from ipvsd.enforce.record_module import record_module
from ipvsd.journal.events import Kind
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
    CheckResults,
    KeyStatus,
    Module,
    NamespaceResult,
    Outcome,
    Reason,
    State,
    Write,
)
from tests.builders import HOST, NO_TREE, OBSERVE, POD, POLICY, RUN, WEB, value
from tests.stories import HostStory


def test_a_load_is_logged_once_with_its_reaction_time():
    story = HostStory()
    assert story.check(Module.ABSENT, State.ABSENT, Reason.START) == []
    event_ns = story.now_ns - 3 * NS_PER_MS
    kinds = story.check(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=event_ns, wrote=True)
    assert kinds == [Kind.CHANGED]
    fields = story.new_events[0].fields
    assert fields["IPVSD_REASON"] == "load"
    assert fields["IPVSD_REACTION_USEC"] == "3000"
    assert (fields["IPVSD_OLD"], fields["IPVSD_NEW"]) == ("1", "0")
    assert fields["IPVSD_NAMESPACE"] == "host"
    assert (
        "was 1, now 0 (ip_vs was loaded, 3.0 ms from event to write)" in story.new_events[0].message
    )
    assert story.memory.loads == 1 and story.memory.tally.writes == {"load": 1}


def test_a_repeated_event_logs_nothing():
    story = HostStory()
    story.check(Module.LIVE, State.AS_WANTED, Reason.START)
    assert story.check(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1) == []
    assert story.memory.loads == 0


def test_a_load_without_any_event_is_recognised_by_its_instance():
    """Recognise it each time: nobody changed the value, so there is no contest."""
    story = HostStory()
    story.check(Module.LIVE, State.AS_WANTED, Reason.START, instance=1)
    for number in range(2, 7):
        kinds = story.check(Module.LIVE, State.AS_WANTED, wrote=True, instance=number)
        assert (kinds, story.new_events[0].fields["IPVSD_REASON"]) == ([Kind.CHANGED], "load")
    assert story.memory.loads == 5


@pytest.mark.parametrize("before, now", [(1, 1), (None, 1), (1, None)])
def test_the_same_instance_or_an_unknown_one_is_no_load(before, now):
    story = HostStory()
    story.check(Module.LIVE, State.AS_WANTED, Reason.START, instance=before)
    story.check(Module.LIVE, State.AS_WANTED, wrote=True, instance=now)
    assert (story.new_events[0].fields["IPVSD_REASON"], story.memory.loads) == ("drift", 0)


def test_a_load_that_needs_no_write_is_logged_as_a_load():
    story = HostStory()
    story.check(Module.ABSENT, State.ABSENT, Reason.START)
    assert story.check(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1) == [Kind.LOADED]
    assert story.memory.loads == 1


def test_a_load_whose_event_was_lost_is_logged_as_a_load():
    story = HostStory()
    story.check(Module.ABSENT, State.ABSENT, Reason.START)
    assert story.check(Module.LIVE, State.AS_WANTED, wrote=True) == [Kind.CHANGED]
    assert story.memory.tally.writes == {"load": 1} and story.memory.loads == 1


def test_remove_and_add_in_one_batch_are_two_events():
    story = HostStory()
    story.check(Module.LIVE, State.AS_WANTED, Reason.START)
    story.memory, new_events = record_module(story.memory, Module.ABSENT, 1, 1)
    assert [event.kind for event in new_events] == [Kind.REMOVED]
    kinds = story.check(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1, wrote=True)
    assert kinds == [Kind.CHANGED] and story.memory.loads == 1


def test_drift_is_logged_without_a_reaction_time():
    story = HostStory()
    story.check(Module.LIVE, State.AS_WANTED, Reason.START)
    assert story.check(Module.LIVE, State.AS_WANTED, wrote=True) == [Kind.CHANGED]
    assert story.new_events[0].fields["IPVSD_REASON"] == "drift"
    assert "IPVSD_REACTION_USEC" not in story.new_events[0].fields


def test_an_early_add_is_waited_for_and_its_reaction_counts_from_the_event():
    story = HostStory()
    story.check(Module.ABSENT, State.ABSENT, Reason.START)
    add_ns = story.now_ns
    assert story.check(Module.COMING, State.LOADING, Reason.LOAD, event_ns=add_ns) == []
    assert story.memory.waiting_since_ns == add_ns
    story.now_ns += 300 * NS_PER_MS
    assert story.check(Module.COMING, State.AS_WANTED, wrote=True) == [Kind.CHANGED]
    assert story.new_events[0].fields["IPVSD_REACTION_USEC"] == "300000"
    story.now_ns += NS_PER_MS
    assert story.check(Module.LIVE, State.AS_WANTED) == []
    assert story.memory.waiting_since_ns is None
    assert story.memory.loads == 1


def test_a_load_that_fails_ends_the_wait():
    story = HostStory()
    story.check(Module.ABSENT, State.ABSENT, Reason.START)
    story.check(Module.COMING, State.LOADING, Reason.LOAD, event_ns=1)
    assert story.check(Module.ABSENT, State.ABSENT) == [Kind.LOAD_FAILED]
    assert story.memory.waiting_since_ns is None
    assert story.check(Module.ABSENT, State.ABSENT) == []


def test_a_load_that_fails_is_logged_once_when_remove_comes_first():
    story = HostStory()
    story.check(Module.COMING, State.LOADING, Reason.START)
    story.memory, new_events = record_module(story.memory, Module.ABSENT, 1, 1)
    assert [event.kind for event in new_events] == [Kind.LOAD_FAILED]
    assert story.check(Module.ABSENT, State.ABSENT) == []


def test_a_wait_is_bounded_and_its_end_logged_once():
    story = HostStory()
    story.check(Module.COMING, State.LOADING, Reason.START)
    story.now_ns += LOAD_WAIT_NS
    assert story.check(Module.COMING, State.LOADING) == [Kind.LOAD_SLOW]
    assert story.check(Module.COMING, State.LOADING) == []
    assert story.check(Module.LIVE, State.AS_WANTED, wrote=True) == [Kind.CHANGED]


@pytest.mark.parametrize(
    "state, kind",
    [
        (State.UNSUPPORTED, Kind.UNSUPPORTED),
        (State.UNREADABLE, Kind.UNREADABLE),
        (State.DENIED, Kind.NOT_CHANGED),
        (State.REFUSED, Kind.NOT_CHANGED),
    ],
)
def test_a_lasting_condition_is_logged_once_through_all_loads(state, kind):
    story = HostStory()
    assert story.check(Module.LIVE, state, Reason.START, detail="why") == [kind]
    for _ in range(3):
        assert story.check(Module.LIVE, state, detail="why") == []
        assert story.check(Module.ABSENT, State.ABSENT) == [Kind.REMOVED]
        assert story.check(Module.LIVE, state, Reason.LOAD, detail="why") == []
    shown = NO_TREE if state is State.UNSUPPORTED else None
    assert story.check(Module.LIVE, state, detail="another reason", shown=shown) == [kind]


def test_a_key_that_ip_vs_lacks_is_logged_for_the_host_only():
    lacking, kinds = KeyStatus(RUN, State.UNSUPPORTED), []
    memory = Memory(module=Module.LIVE)
    for namespace, take in ((HOST, record.record_host), (WEB, record.record), (POD, record.record)):
        result = NamespaceResult(namespace, Reason.DRIFT, "", (lacking,))
        done = CheckResults(Module.LIVE, (result,), None, 9, 9)
        memory, new_events = take(memory, POLICY, done)
        kinds += [event.kind for event in new_events]
    assert kinds == [Kind.UNSUPPORTED] and memory.unsupported == {RUN.key}


def test_a_write_that_the_kernel_does_not_keep_is_logged_once_and_never_as_a_change():
    write = Write(HOST, RUN.key, "1", "0", Reason.DRIFT)
    outcome = Outcome(write, value("1"), written_ns=5)
    key = KeyStatus(RUN, State.REFUSED, "1", "written 0, but it reads 1")
    host = NamespaceResult(HOST, Reason.DRIFT, "", (key,), (write,), (outcome,))
    done = CheckResults(Module.LIVE, (host,), None, 9, 9)
    memory, new_events = record.record_host(Memory(module=Module.LIVE), POLICY, done)
    assert [event.kind for event in new_events] == [Kind.NOT_CHANGED]
    memory, new_events = record.record_host(memory, POLICY, done)
    assert new_events == [] and memory.tally.writes == {} and memory.tally.failures == 2


def test_a_condition_that_was_cured_is_logged_when_it_comes_back():
    story = HostStory()
    story.check(Module.LIVE, State.DENIED, Reason.START, detail="EROFS")
    story.check(Module.LIVE, State.AS_WANTED, wrote=True)
    assert story.check(Module.LIVE, State.DENIED, detail="EROFS") == [Kind.NOT_CHANGED]
    assert story.memory.tally.failures == 2


def test_observing_logs_each_load_once():
    story = HostStory(OBSERVE)
    assert story.check(Module.LIVE, State.DIFFERS, Reason.START) == [Kind.WOULD_CHANGE]
    assert story.check(Module.LIVE, State.DIFFERS) == []
    assert story.check(Module.LIVE, State.DIFFERS, Reason.LOAD) == []  # synthetic
    assert story.memory.loads == 0
    story.check(Module.ABSENT, State.ABSENT)
    assert story.check(Module.LIVE, State.DIFFERS, Reason.LOAD) == [Kind.WOULD_CHANGE]


def test_conditions_of_a_key_that_is_no_longer_guarded_are_forgotten():
    story = HostStory()
    story.check(Module.LIVE, State.UNSUPPORTED, Reason.START)
    done = CheckResults(Module.LIVE, (NamespaceResult(HOST, Reason.RELOAD),), None, 1, 0)
    memory, _ = record.record_host(story.memory, POLICY, done)
    assert memory.namespaces[HOST.identity].conditions == {}


def test_a_load_without_an_event_counts_from_the_check_before():
    story = HostStory()
    story.check(Module.ABSENT, State.ABSENT, Reason.START)
    before_ns = story.now_ns
    story.now_ns += 5 * NS_PER_S
    story.check(Module.LIVE, State.AS_WANTED, wrote=True)
    assert story.memory.loaded_ns == before_ns
    assert "IPVSD_REACTION_USEC" not in story.new_events[0].fields
    assert story.memory.tally.exposed_ns == 5 * NS_PER_S
    assert story.memory.tally.runs_leaked == 2
    assert "up to 2 estimation runs meanwhile" in story.new_events[0].message


def test_a_load_that_is_followed_at_once_leaks_nothing():
    story = HostStory()
    story.check(Module.ABSENT, State.ABSENT, Reason.START)
    story.now_ns += NS_PER_S
    event_ns = story.now_ns - 8 * NS_PER_MS
    story.check(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=event_ns, wrote=True)
    assert story.memory.loaded_ns == event_ns
    assert story.memory.tally.exposed_ns == 8 * NS_PER_MS
    assert story.memory.tally.runs_leaked == 0
    assert "runs meanwhile" not in story.new_events[0].message
