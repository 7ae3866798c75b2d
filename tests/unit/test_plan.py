"""Decisions, as tables: what is written, what state that leaves, when to look again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.core import plan
from ipvsd.core.model import (
    NS_PER_MS,
    NS_PER_S,
    Exit,
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

HOST = Namespace(4, 4026531840, "host")
RUN = Setting("net.ipv4.vs.run_estimation", "0", "guard.conf:3")
SYNC = Setting("net.ipv4.vs.sync_threshold", "3 50", "guard.conf:4")
POLICY = Policy(Mode.ENFORCE, 30 * NS_PER_S, (RUN, SYNC))


def value(text):
    return Reading(Found.VALUE, text)


NO_KEY = Reading(Found.NO_KEY)
NO_TREE = Reading(Found.NO_TREE)


@pytest.mark.parametrize(
    "why, run, sync, expected",
    [
        (
            "both differ: run_estimation first",
            value("1"),
            value("5 1"),
            [("1", "0"), ("5 1", "3 50")],
        ),
        ("one differs", value("1"), value("3\t50"), [("1", "0")]),
        ("none differs", value("0"), value("3\t50"), []),
        ("not loaded", NO_TREE, NO_TREE, []),
        ("one unsupported", NO_KEY, value("5 1"), [("5 1", "3 50")]),
        ("unreadable is not written blindly", Reading(Found.FAILED), value("3 50"), []),
    ],
)
def test_plan_writes_what_differs_and_nothing_else(why, run, sync, expected):
    writes = plan.plan(POLICY, HOST, {RUN.key: run, SYNC.key: sync}, Reason.LOAD)
    assert [(write.found, write.wanted) for write in writes] == expected, why
    assert all(write.namespace == HOST and write.reason is Reason.LOAD for write in writes)


@given(st.sampled_from(["0", "1", "7"]), st.sampled_from(["3\t50", "0\t0"]))
def test_a_performed_plan_leaves_nothing_to_plan(run, sync):
    readings = {RUN.key: value(run), SYNC.key: value(sync)}
    for write in plan.plan(POLICY, HOST, readings, Reason.START):
        readings[write.key] = value(write.wanted)
    assert plan.plan(POLICY, HOST, readings, Reason.DRIFT) == ()


@pytest.mark.parametrize(
    "trigger, before, expected",
    [
        (Reason.START, None, Reason.START),
        (Reason.DRIFT, Module.LIVE, Reason.DRIFT),
        (Reason.DRIFT, Module.BUILT_IN, Reason.DRIFT),
        (Reason.DRIFT, Module.ABSENT, Reason.LOAD),  # its event was lost
        (Reason.DRIFT, Module.COMING, Reason.LOAD),
        (Reason.RESYNC, Module.GOING, Reason.LOAD),
        (Reason.LOAD, Module.LIVE, Reason.LOAD),
        (Reason.RELOAD, Module.LIVE, Reason.RELOAD),
    ],
)
def test_reason(trigger, before, expected):
    assert plan.reason_for(trigger, before) is expected


def outcome(after, error="", denied=False):
    write = Write(HOST, RUN.key, "1", "0", Reason.LOAD)
    return Outcome(write, after, None if error else 5, error, denied)


@pytest.mark.parametrize(
    "module, reading, done, expected",
    [
        (Module.LIVE, value("0"), None, State.AS_WANTED),
        (Module.LIVE, value("1"), None, State.DIFFERS),
        (Module.LIVE, value("1"), outcome(value("0")), State.AS_WANTED),
        (Module.LIVE, value("1"), outcome(value("1")), State.REFUSED),
        (Module.LIVE, value("1"), outcome(value("1"), "EINVAL"), State.REFUSED),
        (Module.LIVE, value("1"), outcome(value("1"), "EROFS", True), State.DENIED),
        (Module.LIVE, value("1"), outcome(NO_TREE), State.UNSUPPORTED),
        (Module.GOING, value("1"), outcome(NO_TREE), State.ABSENT),
        (Module.LIVE, NO_KEY, None, State.UNSUPPORTED),
        (Module.BUILT_IN, NO_KEY, None, State.UNSUPPORTED),
        (Module.LIVE, NO_TREE, None, State.UNSUPPORTED),
        (Module.COMING, NO_TREE, None, State.LOADING),
        (Module.COMING, NO_KEY, None, State.LOADING),
        (Module.ABSENT, NO_TREE, None, State.ABSENT),
        (Module.GOING, NO_KEY, None, State.ABSENT),
        (Module.LIVE, Reading(Found.DENIED, error="EACCES"), None, State.DENIED),
        (Module.ABSENT, Reading(Found.FAILED, error="EIO"), None, State.UNREADABLE),
    ],
)
def test_state_of_a_key(module, reading, done, expected):
    assert plan.classify(RUN, module, reading, done).state is expected


@pytest.mark.parametrize(
    "why, waited_ns, expected_ns",
    [
        ("not waiting", None, POLICY.resync_ns),
        ("just begun", 0, NS_PER_MS),
        ("an eighth of the time so far", 80 * NS_PER_MS, 10 * NS_PER_MS),
        ("never rarer than this", 5 * NS_PER_S, 50 * NS_PER_MS),
        ("waited long enough", 10 * NS_PER_S, POLICY.resync_ns),
    ],
)
def test_next_look(why, waited_ns, expected_ns):
    now_ns = 100 * NS_PER_S
    since_ns = None if waited_ns is None else now_ns - waited_ns
    assert plan.next_look(POLICY, since_ns, now_ns) - now_ns == expected_ns, why


def test_waiting_for_a_load_costs_a_bounded_number_of_looks():
    now_ns, looks = 0, 0
    while now_ns < plan.LOAD_WAIT_NS:
        now_ns = plan.next_look(POLICY, 0, now_ns)
        looks += 1
    assert looks < 260


@pytest.mark.parametrize(
    "states, expected",
    [
        ([], Exit.AS_WANTED),
        ([State.AS_WANTED, State.ABSENT], Exit.AS_WANTED),
        ([State.AS_WANTED, State.DIFFERS], Exit.NOT_AS_WANTED),
        ([State.LOADING], Exit.NOT_AS_WANTED),
        ([State.REFUSED, State.UNSUPPORTED], Exit.NOT_AS_WANTED),
        ([State.UNSUPPORTED, State.AS_WANTED], Exit.UNSUPPORTED),
        ([State.UNREADABLE, State.DIFFERS], Exit.CANNOT_TELL),
        ([State.DENIED, State.UNREADABLE], Exit.NOT_PERMITTED),
    ],
)
def test_exit_code(states, expected):
    assert plan.exit_code(tuple(KeyStatus(RUN, state) for state in states)) is expected


def test_an_action_describes_itself():
    write = Write(HOST, RUN.key, "1", "0", Reason.LOAD)
    assert str(write) == "net.ipv4.vs.run_estimation in host (net:[4026531840]): 1 -> 0"
