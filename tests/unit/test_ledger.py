"""What is told and remembered: stories of several passes, and the events each one brings."""

import pytest

from ipvsd.core import ledger
from ipvsd.core.events import Kind
from ipvsd.core.ledger import Memory, Pass
from ipvsd.core.model import (
    NS_PER_MS,
    NS_PER_S,
    Found,
    KeyStatus,
    Mode,
    Module,
    Namespace,
    Outcome,
    Policy,
    Reading,
    Reason,
    Setting,
    State,
    Write,
)
from ipvsd.core.plan import LOAD_WAIT_NS, reason_for

HOST = Namespace(4, 4026531840, "host")
RUN = Setting("net.ipv4.vs.run_estimation", "0", "guard.conf:3")
POLICY = Policy(Mode.ENFORCE, 30 * NS_PER_S, (RUN,))
OBSERVE = POLICY._replace(mode=Mode.OBSERVE)


class Story:
    """A memory that passes are settled into, one after the other."""

    def __init__(self, policy=POLICY):
        self.policy = policy
        self.memory = Memory()
        self.now_ns = NS_PER_S

    def look(self, module, state, trigger=Reason.DRIFT, detail="", event_ns=None, wrote=False):
        """Settle a pass that found `state`; return the kinds of the news."""
        reason = reason_for(trigger, self.memory.module)
        write = Write(HOST, RUN.key, "1", "0", reason)
        failed = state in (State.DENIED, State.REFUSED)
        writes = (write,) if wrote or failed or state is State.DIFFERS else ()
        outcomes = ()
        if wrote:
            outcomes = (Outcome(write, Reading(Found.VALUE, "0"), self.now_ns),)
        elif failed:
            outcomes = (Outcome(write, Reading(Found.VALUE, "1"), None, detail, True),)
        keys = (KeyStatus(RUN, state, "0", detail),)
        done = Pass(reason, HOST, module, keys, writes, outcomes, event_ns, self.now_ns, 0)
        self.memory, self.news = ledger.settle(self.memory, self.policy, done)
        return [event.kind for event in self.news]


def test_a_load_is_told_once_with_its_reaction_time():
    story = Story()
    assert story.look(Module.ABSENT, State.ABSENT, Reason.START) == []
    event_ns = story.now_ns - 3 * NS_PER_MS
    kinds = story.look(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=event_ns, wrote=True)
    assert kinds == [Kind.CHANGED]
    fields = story.news[0].fields
    assert fields["IPVSD_REASON"] == "load"
    assert fields["IPVSD_REACTION_USEC"] == "3000"
    assert (fields["IPVSD_OLD"], fields["IPVSD_NEW"]) == ("1", "0")
    assert fields["IPVSD_NAMESPACE"] == "host"
    assert "was 1, now 0 (ip_vs was loaded, 3.0 ms from event to write)" in story.news[0].message
    assert story.memory.loads == 1 and story.memory.writes == {"load": 1}


def test_a_repeated_event_is_no_news():
    story = Story()
    story.look(Module.LIVE, State.AS_WANTED, Reason.START)
    assert story.look(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1) == []
    assert story.memory.loads == 0


def test_an_add_that_finds_right_values_reset_is_a_load_whose_remove_was_lost():
    story = Story()
    story.look(Module.LIVE, State.AS_WANTED, Reason.START)
    kinds = story.look(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1, wrote=True)
    assert kinds == [Kind.CHANGED] and story.memory.loads == 1


def test_a_load_that_needs_no_write_is_told_as_a_load():
    story = Story()
    story.look(Module.ABSENT, State.ABSENT, Reason.START)
    assert story.look(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1) == [Kind.LOADED]
    assert story.memory.loads == 1


def test_a_load_whose_event_was_lost_is_told_as_a_load():
    story = Story()
    story.look(Module.ABSENT, State.ABSENT, Reason.START)
    assert story.look(Module.LIVE, State.AS_WANTED, wrote=True) == [Kind.CHANGED]
    assert story.memory.writes == {"load": 1} and story.memory.loads == 1


def test_remove_and_add_in_one_batch_are_two_things():
    story = Story()
    story.look(Module.LIVE, State.AS_WANTED, Reason.START)
    story.memory, news = ledger.module_seen(story.memory, Module.ABSENT, 1, 1)
    assert [event.kind for event in news] == [Kind.REMOVED]
    kinds = story.look(Module.LIVE, State.AS_WANTED, Reason.LOAD, event_ns=1, wrote=True)
    assert kinds == [Kind.CHANGED] and story.memory.loads == 1


def test_drift_is_told_without_a_reaction_time():
    story = Story()
    story.look(Module.LIVE, State.AS_WANTED, Reason.START)
    assert story.look(Module.LIVE, State.AS_WANTED, wrote=True) == [Kind.CHANGED]
    assert story.news[0].fields["IPVSD_REASON"] == "drift"
    assert "IPVSD_REACTION_USEC" not in story.news[0].fields


def test_an_early_add_is_waited_for_and_its_reaction_counts_from_the_event():
    story = Story()
    story.look(Module.ABSENT, State.ABSENT, Reason.START)
    add_ns = story.now_ns
    assert story.look(Module.COMING, State.LOADING, Reason.LOAD, event_ns=add_ns) == []
    assert story.memory.waiting_since_ns == add_ns
    story.now_ns += 300 * NS_PER_MS
    assert story.look(Module.COMING, State.AS_WANTED, wrote=True) == [Kind.CHANGED]
    assert story.news[0].fields["IPVSD_REACTION_USEC"] == "300000"
    story.now_ns += NS_PER_MS
    assert story.look(Module.LIVE, State.AS_WANTED) == []
    assert story.memory.waiting_since_ns is None
    assert story.memory.loads == 1


def test_a_load_that_fails_ends_the_wait():
    story = Story()
    story.look(Module.ABSENT, State.ABSENT, Reason.START)
    story.look(Module.COMING, State.LOADING, Reason.LOAD, event_ns=1)
    assert story.look(Module.ABSENT, State.ABSENT) == [Kind.LOAD_FAILED]
    assert story.memory.waiting_since_ns is None
    assert story.look(Module.ABSENT, State.ABSENT) == []


def test_a_load_that_fails_is_told_once_when_remove_is_heard_first():
    story = Story()
    story.look(Module.COMING, State.LOADING, Reason.START)
    story.memory, news = ledger.module_seen(story.memory, Module.ABSENT, 1, 1)
    assert [event.kind for event in news] == [Kind.LOAD_FAILED]
    assert story.look(Module.ABSENT, State.ABSENT) == []


def test_a_wait_is_bounded_and_its_end_told_once():
    story = Story()
    story.look(Module.COMING, State.LOADING, Reason.START)
    story.now_ns += LOAD_WAIT_NS
    assert story.look(Module.COMING, State.LOADING) == [Kind.LOAD_SLOW]
    assert story.look(Module.COMING, State.LOADING) == []
    assert story.look(Module.LIVE, State.AS_WANTED, wrote=True) == [Kind.CHANGED]


@pytest.mark.parametrize(
    "state, kind",
    [
        (State.UNSUPPORTED, Kind.UNSUPPORTED),
        (State.UNREADABLE, Kind.UNREADABLE),
        (State.DENIED, Kind.NOT_CHANGED),
        (State.REFUSED, Kind.NOT_CHANGED),
    ],
)
def test_a_lasting_condition_is_told_once_through_all_loads(state, kind):
    story = Story()
    assert story.look(Module.LIVE, state, Reason.START, detail="why") == [kind]
    for _ in range(3):
        assert story.look(Module.LIVE, state, detail="why") == []
        assert story.look(Module.ABSENT, State.ABSENT) == [Kind.REMOVED]
        assert story.look(Module.LIVE, state, Reason.LOAD, detail="why") == []
    assert story.look(Module.LIVE, state, detail="another reason") == [kind]


def test_a_write_that_the_kernel_does_not_keep_is_told_once_and_never_as_a_change():
    write = Write(HOST, RUN.key, "1", "0", Reason.DRIFT)
    outcome = Outcome(write, Reading(Found.VALUE, "1"), written_ns=5)
    key = KeyStatus(RUN, State.REFUSED, "1", "written 0, but it reads 1")
    done = Pass(Reason.DRIFT, HOST, Module.LIVE, (key,), (write,), (outcome,), None, 9, 9)
    memory, news = ledger.settle(Memory(module=Module.LIVE), POLICY, done)
    assert [event.kind for event in news] == [Kind.NOT_CHANGED]
    memory, news = ledger.settle(memory, POLICY, done)
    assert news == [] and memory.writes == {} and memory.failures == 2


def test_a_condition_that_was_cured_is_told_when_it_comes_back():
    story = Story()
    story.look(Module.LIVE, State.DENIED, Reason.START, detail="EROFS")
    story.look(Module.LIVE, State.AS_WANTED, wrote=True)
    assert story.look(Module.LIVE, State.DENIED, detail="EROFS") == [Kind.NOT_CHANGED]
    assert story.memory.failures == 2


def test_observing_tells_each_load_once():
    story = Story(OBSERVE)
    assert story.look(Module.LIVE, State.DIFFERS, Reason.START) == [Kind.WOULD_CHANGE]
    assert story.look(Module.LIVE, State.DIFFERS) == []
    assert story.look(Module.LIVE, State.DIFFERS, Reason.LOAD) == []  # synthetic
    assert story.memory.loads == 0
    story.look(Module.ABSENT, State.ABSENT)
    assert story.look(Module.LIVE, State.DIFFERS, Reason.LOAD) == [Kind.WOULD_CHANGE]


def test_what_is_no_longer_guarded_is_forgotten():
    story = Story()
    story.look(Module.LIVE, State.UNSUPPORTED, Reason.START)
    done = Pass(Reason.RELOAD, HOST, Module.LIVE, (), (), (), None, 1, 0)
    memory, _ = ledger.settle(story.memory, POLICY, done)
    assert memory.conditions == {}


@pytest.mark.parametrize(
    "module, state, sentence",
    [
        (Module.LIVE, State.AS_WANTED, "1 sysctl as wanted, ip_vs live; 0 loads seen, 0 writes"),
        (Module.ABSENT, State.ABSENT, "Waiting for ip_vs (absent) to set 1 sysctl"),
        (Module.LIVE, State.UNSUPPORTED, "net.ipv4.vs.run_estimation is unsupported; "),
        (Module.COMING, State.LOADING, "net.ipv4.vs.run_estimation is loading; "),
    ],
)
def test_the_status_sentence(module, state, sentence):
    keys = (KeyStatus(RUN, state),)
    assert ledger.summary(Memory(module=module), POLICY, keys).startswith(sentence)


def test_the_status_sentence_tells_when_nothing_is_written_or_guarded():
    keys = (KeyStatus(RUN, State.DIFFERS),)
    assert "observing only" in ledger.summary(Memory(module=Module.LIVE), OBSERVE, keys)
    assert "nothing is guarded" in ledger.summary(Memory(module=Module.LIVE), POLICY, ())
