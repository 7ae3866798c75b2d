"""Decisions, as tables: what is written, which state follows, and when to check again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.enforce import decide
from ipvsd.enforce.contest import Contest
from ipvsd.enforce.decide import HOLD_LONG_NS, HOLD_NS
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
    ContestPolicy,
    Exit,
    Found,
    KeyStatus,
    Module,
    Outcome,
    Reading,
    Reason,
    Setting,
    State,
    Write,
)
from ipvsd.status import severity
from tests.builders import BOTH, HOST, NO_KEY, NO_TREE, POLICY, RUN, SYNC, WEB, value

NOW_NS = 1000 * NS_PER_S
EST_CPULIST = Setting("net.ipv4.vs.est_cpulist", "0-3", "guard.conf:5")
EST_NICE = Setting("net.ipv4.vs.est_nice", "19", "guard.conf:6")


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
    writes = decide.plan(BOTH.settings, HOST, {RUN.key: run, SYNC.key: sync}, Reason.LOAD)
    assert [(write.found, write.wanted) for write in writes] == expected, why
    assert all(write.namespace == HOST and write.reason is Reason.LOAD for write in writes)


@given(st.sampled_from(["0", "1", "7"]), st.sampled_from(["3\t50", "0\t0"]))
def test_a_performed_plan_leaves_nothing_to_plan(run, sync):
    readings = {RUN.key: value(run), SYNC.key: value(sync)}
    for write in decide.plan(BOTH.settings, HOST, readings, Reason.START):
        readings[write.key] = value(write.wanted)
    assert decide.plan(BOTH.settings, HOST, readings, Reason.DRIFT) == ()


def known(state=State.AS_WANTED, reason=Reason.BIRTH, checked_ns=100):
    keys = (KeyStatus(RUN, state),)
    return NamespaceState(WEB, 1, 1, checked_ns, reason=reason, keys=keys)


@pytest.mark.parametrize(
    "why, ns_state, trigger, reloaded, expected",
    [
        ("each difference at the start", None, Reason.START, False, Reason.START),
        (
            "known, at the start",
            known(),
            Reason.START,
            False,
            Reason.START,
        ),
        ("by `ipvsd apply`", known(State.HELD), Reason.APPLY, False, Reason.APPLY),
        ("a load resets all", known(), Reason.LOAD, False, Reason.LOAD),
        ("a load resets a held value too", known(State.HELD), Reason.LOAD, False, Reason.LOAD),
        ("new, and an event reported it", None, Reason.BIRTH, False, Reason.BIRTH),
        ("new, found by the periodic scan", None, Reason.DRIFT, False, Reason.BIRTH),
        ("new, found after lost events", None, Reason.RESYNC, False, Reason.BIRTH),
        ("new to the policy", None, Reason.RELOAD, False, Reason.RELOAD),
        ("changed", known(), Reason.DRIFT, False, Reason.DRIFT),
        ("changed, and it has a new holder", known(), Reason.BIRTH, False, Reason.DRIFT),
        ("changed before events were lost", known(), Reason.RESYNC, False, Reason.RESYNC),
        ("the policy wants another value", known(), Reason.RELOAD, False, Reason.RELOAD),
        ("loaded after the last check", known(), Reason.DRIFT, True, Reason.LOAD),
        ("loaded before the last check", known(), Reason.DRIFT, False, Reason.DRIFT),
        ("loaded after the last check, and a new holder", known(), Reason.BIRTH, True, Reason.LOAD),
        ("ip_vs was not loaded before", known(State.ABSENT), Reason.DRIFT, True, Reason.LOAD),
        ("held since its birth", known(State.HELD), Reason.DRIFT, False, Reason.BIRTH),
        (
            "held, and its birth is reported again",
            known(State.HELD),
            Reason.BIRTH,
            False,
            Reason.BIRTH,
        ),
        (
            "different since a load",
            known(State.DIFFERS, Reason.LOAD),
            Reason.DRIFT,
            False,
            Reason.LOAD,
        ),
        (
            "contested since a drift",
            known(State.CONTESTED, Reason.DRIFT),
            Reason.BIRTH,
            False,
            Reason.DRIFT,
        ),
    ],
)
def test_reason(why, ns_state, trigger, reloaded, expected):
    assert decide.why_different(trigger, ns_state, reloaded) is expected, why


@pytest.mark.parametrize(
    "why, ns_state, trigger, reloaded, expected",
    [
        ("the first check", None, Reason.START, False, Reason.START),
        ("the first check by `ipvsd apply`", None, Reason.APPLY, False, Reason.APPLY),
        ("changed", known(), Reason.DRIFT, False, Reason.DRIFT),
        ("held since a load", known(State.HELD, Reason.LOAD), Reason.DRIFT, False, Reason.LOAD),
        ("held, loaded again", known(State.HELD, Reason.START), Reason.LOAD, True, Reason.LOAD),
        ("reloaded", known(State.DIFFERS, Reason.START), Reason.RELOAD, False, Reason.RELOAD),
        ("ip_vs was not loaded before", known(State.ABSENT), Reason.LOAD, True, Reason.LOAD),
        ("the event of a load was lost", known(), Reason.DRIFT, True, Reason.LOAD),
        ("after lost events", known(), Reason.RESYNC, True, Reason.LOAD),
        ("reloaded after a lost load", known(), Reason.RELOAD, True, Reason.LOAD),
    ],
)
def test_reason_in_the_host_namespace(why, ns_state, trigger, reloaded, expected):
    assert decide.why_different(trigger, ns_state, reloaded, is_host=True) is expected, why


def outcome(after, error="", denied=False):
    tried = Write(HOST, RUN.key, "1", "0", Reason.LOAD)
    return Outcome(tried, after, None if error else 5, error, denied)


@pytest.mark.parametrize(
    "module, reading, done, expected",
    [
        (Module.LIVE, value("0"), None, State.AS_WANTED),
        (Module.LIVE, value("1"), None, State.DIFFERS),
        (Module.LIVE, value("1"), outcome(value("0")), State.AS_WANTED),
        (Module.LIVE, value("1"), outcome(value("1")), State.REFUSED),
        (Module.LIVE, value("1"), outcome(value("1"), "EINVAL"), State.REFUSED),
        (Module.LIVE, value("1"), outcome(value("1"), "EROFS", True), State.DENIED),
        (Module.LIVE, value("1"), outcome(NO_TREE), State.ABSENT),
        (Module.GOING, value("1"), outcome(NO_TREE), State.ABSENT),
        (Module.LIVE, NO_KEY, None, State.UNSUPPORTED),
        (Module.BUILT_IN, NO_KEY, None, State.UNSUPPORTED),
        (Module.LIVE, NO_TREE, None, State.UNSUPPORTED),
        (Module.COMING, NO_TREE, None, State.LOADING),
        (Module.COMING, NO_KEY, None, State.LOADING),
        (Module.ABSENT, NO_TREE, None, State.ABSENT),
        (Module.GOING, NO_KEY, None, State.ABSENT),
        (Module.LIVE, NO_KEY, outcome(NO_KEY), State.ABSENT),
        (Module.COMING, value("1"), outcome(NO_TREE), State.LOADING),
        (Module.LIVE, Reading(Found.DENIED, error="EACCES"), None, State.DENIED),
        (Module.ABSENT, Reading(Found.FAILED, error="EIO"), None, State.UNREADABLE),
    ],
)
def test_state_of_a_key(module, reading, done, expected):
    assert decide.classify(RUN, module, reading, done).state is expected


EACCES = Reading(Found.DENIED, error="EACCES")


@pytest.mark.parametrize(
    "why, module, reading, done, restrained_state, expected",
    [
        ("Linux up to 6.9 shows no sysctls", Module.LIVE, NO_TREE, None, None, State.HIDDEN),
        ("in an empty folder", Module.BUILT_IN, NO_KEY, None, None, State.HIDDEN),
        ("ip_vs is not loaded", Module.ABSENT, NO_TREE, None, None, State.ABSENT),
        ("ip_vs is being loaded", Module.COMING, NO_TREE, None, None, State.LOADING),
        (
            "Linux from 6.10 on takes no write",
            Module.LIVE,
            value("1"),
            outcome(value("1"), "EACCES", True),
            None,
            State.READ_ONLY,
        ),
        ("no write is tried", Module.LIVE, value("1"), None, State.READ_ONLY, State.READ_ONLY),
        ("its value is as wanted", Module.LIVE, value("0"), None, None, State.AS_WANTED),
        ("it cannot be read", Module.LIVE, EACCES, None, None, State.READ_ONLY),
        (
            "an error of another kind",
            Module.LIVE,
            value("1"),
            outcome(value("1"), "EINVAL"),
            None,
            State.REFUSED,
        ),
    ],
)
def test_state_of_a_key_that_another_user_namespace_owns(
    why, module, reading, done, restrained_state, expected
):
    assert (
        decide.classify(RUN, module, reading, done, restrained_state, foreign=True).state
        is expected
    ), why


@pytest.mark.parametrize("restrained_state", [State.HELD, State.CONTESTED, State.READ_ONLY])
def test_a_restrained_key_has_its_own_state_until_its_value_is_right(restrained_state):
    left = decide.classify(RUN, Module.LIVE, value("1"), None, restrained_state)
    assert (left.state, left.value) == (restrained_state, "1")
    right = decide.classify(RUN, Module.LIVE, value("0"), None, restrained_state)
    assert right.state is State.AS_WANTED


def write(reason=Reason.DRIFT, setting=RUN):
    return Write(WEB, setting.key, "1", setting.wanted, reason)


def ns_state(**changes):
    return NamespaceState(WEB, 1, 1, 1)._replace(**changes)


def changed_back(times, last_ns=NOW_NS):
    return ns_state(contests={RUN.key: Contest(times, last_ns)})


RESTRAINED = [
    ("unknown", None, ContestPolicy.ENFORCE, None, None),
    ("known and never changed", ns_state(), ContestPolicy.ENFORCE, None, None),
    ("changed back once", changed_back(1), ContestPolicy.ENFORCE, None, None),
    (
        "contested",
        changed_back(3),
        ContestPolicy.ENFORCE,
        None,
        (State.CONTESTED, NOW_NS + NS_PER_S),
    ),
    (
        "with yield no retry is scheduled",
        changed_back(3, 0),
        ContestPolicy.YIELD,
        None,
        (State.CONTESTED, None),
    ),
    ("held", None, ContestPolicy.ENFORCE, NOW_NS + 9, (State.HELD, NOW_NS + 9)),
    (
        "contested comes before held",
        changed_back(3),
        ContestPolicy.ENFORCE,
        NOW_NS + 9,
        (State.CONTESTED, NOW_NS + NS_PER_S),
    ),
    (
        "held when the pause is over",
        changed_back(3, 0),
        ContestPolicy.ENFORCE,
        NOW_NS + 9,
        (State.HELD, NOW_NS + 9),
    ),
]


@pytest.mark.parametrize("reason", [Reason.DRIFT, Reason.RESYNC])
@pytest.mark.parametrize("why, known, contest_policy, held_ns, expected", RESTRAINED)
def test_writes_that_wait_on_purpose(why, known, contest_policy, held_ns, expected, reason):
    decision = decide.restrain((write(reason),), known, contest_policy, held_ns, NOW_NS)
    if expected is None:
        assert (decision.due, decision.retry_at_ns) == ((write(reason),), None), why
    else:
        assert decision.due == () and decision.writes == (write(reason),), why
        assert (decision.restrained[RUN.key], decision.retry_at_ns) == expected, why


@pytest.mark.parametrize(
    "why, times, last_ns", [("the third change", 2, NOW_NS), ("a later one", 9, NOW_NS - NS_PER_S)]
)
def test_a_contested_value_is_checked_soon_after_it_was_set(why, times, last_ns):
    known = changed_back(times, last_ns)
    decision = decide.restrain((write(Reason.DRIFT),), known, ContestPolicy.ENFORCE, None, NOW_NS)
    assert decision.due and decision.retry_at_ns == NOW_NS + NS_PER_S, why


def test_a_contested_value_that_is_right_is_checked_soon_and_not_with_yield():
    for contest_policy, expected in (
        (ContestPolicy.ENFORCE, NOW_NS + NS_PER_S),
        (ContestPolicy.YIELD, None),
    ):
        decision = decide.restrain((), changed_back(3), contest_policy, None, NOW_NS)
        assert decision.retry_at_ns == expected


def test_where_kernel_threads_estimate_a_contested_value_waits_as_long_as_one_that_is_held():
    drift, last_ns = (write(Reason.DRIFT),), NOW_NS - decide.HOLD_NS
    for since_ns, due in ((last_ns + 1, ()), (last_ns, drift)):
        known = changed_back(5, since_ns)
        decision = decide.restrain(drift, known, ContestPolicy.ENFORCE, None, NOW_NS, True)
        assert decision.due == due
        assert decision.retry_at_ns == (NOW_NS + decide.HOLD_NS if due else NOW_NS + 1)


@pytest.mark.parametrize("contest_policy", list(ContestPolicy))
@pytest.mark.parametrize(
    "reason", [Reason.LOAD, Reason.BIRTH, Reason.START, Reason.RELOAD, Reason.APPLY]
)
def test_changes_by_the_kernel_or_the_user_are_no_contest(reason, contest_policy):
    decision = decide.restrain((write(reason),), changed_back(9), contest_policy, None, NOW_NS)
    assert decision.due == (write(reason),)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_read_only_value_is_never_tried_again(reason):
    known = ns_state(keys=(KeyStatus(RUN, State.READ_ONLY),))
    decision = decide.restrain((write(reason),), known, ContestPolicy.ENFORCE, None, NOW_NS)
    assert decision.due == () and decision.restrained == {RUN.key: State.READ_ONLY}
    assert decision.retry_at_ns is None


def test_every_key_that_restarts_the_kthreads_is_held_and_only_its_own_contest_counts():
    restarting = tuple(write(setting=one) for one in (RUN, EST_CPULIST, EST_NICE))
    held = decide.restrain(restarting, None, ContestPolicy.ENFORCE, NOW_NS + 9, NOW_NS)
    assert held.due == () and set(held.restrained.values()) == {State.HELD}
    both = (write(), write(setting=SYNC))
    assert decide.restrain(both, None, ContestPolicy.ENFORCE, NOW_NS + 9, NOW_NS).due == both[1:]
    assert (
        decide.restrain(both, changed_back(3), ContestPolicy.ENFORCE, None, NOW_NS).due == both[1:]
    )


def test_the_retry_comes_at_the_earliest_of_several_times():
    known = ns_state(contests={SYNC.key: Contest(5, NOW_NS)})
    both = (write(), write(setting=SYNC))
    decision = decide.restrain(both, known, ContestPolicy.ENFORCE, NOW_NS + NS_PER_S, NOW_NS)
    assert decision.retry_at_ns == NOW_NS + NS_PER_S and decision.due == ()


SINCE_NS = NOW_NS - NS_PER_S


@pytest.mark.parametrize(
    "why, known, services, expected",
    [
        (
            "the last service was removed only now: its kthread runs on",
            ns_state(estimators=5, estimators_since_ns=0),
            0,
            NOW_NS + HOLD_NS,
        ),
        (
            "the last service was removed some time ago",
            ns_state(estimators=0, estimators_since_ns=NOW_NS - HOLD_NS),
            0,
            None,
        ),
        ("unknown: the services may be new", None, 5, NOW_NS + HOLD_NS),
        (
            "unchanged for a second",
            ns_state(estimators=5, estimators_since_ns=SINCE_NS),
            5,
            SINCE_NS + HOLD_NS,
        ),
        (
            "unchanged for long enough",
            ns_state(estimators=5, estimators_since_ns=NOW_NS - HOLD_NS),
            5,
            None,
        ),
        ("one service more", ns_state(estimators=5, estimators_since_ns=0), 6, NOW_NS + HOLD_NS),
        ("one service less", ns_state(estimators=5, estimators_since_ns=0), 4, NOW_NS + HOLD_NS),
        (
            "services keep coming, however long it is held",
            ns_state(estimators=5, held_since_ns=NOW_NS - 1000 * HOLD_LONG_NS),
            6,
            NOW_NS + HOLD_NS,
        ),
        ("the kernel does not count services: the first check", None, None, NOW_NS + HOLD_NS),
    ],
)
def test_on_kernels_with_kthreads_young_services_are_left_alone(why, known, services, expected):
    assert decide.hold_until(known, services, NOW_NS) == expected, why


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 10**10)), max_size=60))
def test_a_write_comes_when_the_services_have_not_changed_for_a_while_and_only_then(checks):
    """Check again at each time that is asked for, whatever the services do meanwhile."""
    known, now_ns, changed_ns = ns_state(), NOW_NS, NOW_NS
    for services, late_ns in checks:
        until_ns = decide.hold_until(known, services, now_ns)
        if known.estimators != services:
            known = known._replace(estimators=services, estimators_since_ns=now_ns)
            changed_ns = now_ns
        assert until_ns == (None if now_ns - changed_ns >= HOLD_NS else changed_ns + HOLD_NS)
        now_ns = max(until_ns or 0, now_ns + late_ns)


@pytest.mark.parametrize(
    "why, setting, run_estimation, expected",
    [
        ("estimation runs", EST_NICE, "1", True),
        ("estimation runs, by another true value", EST_CPULIST, "5", True),
        ("estimation itself", RUN, "1", True),
        ("whether estimation runs is unknown", EST_NICE, None, True),
        ("no kthread runs while estimation is off", EST_NICE, "0", False),
        ("nor does switching it on stop one", RUN, "0", False),
        ("another key", SYNC, "1", False),
    ],
)
def test_which_writes_restart_kthreads(why, setting, run_estimation, expected):
    readings = {} if run_estimation is None else {RUN.key: value(run_estimation)}
    assert decide.restarts_kthreads((write(setting=setting),), readings) is expected, why


@pytest.mark.parametrize("wanted, last", [("0", EST_NICE.key), ("1", RUN.key)])
def test_estimation_is_off_while_its_other_keys_are_written(wanted, last):
    settings = (RUN._replace(wanted=wanted), EST_CPULIST, EST_NICE)
    readings = {setting.key: value("7") for setting in settings}
    writes = decide.plan(settings, WEB, readings, Reason.START)
    assert len(writes) == 3 and writes[-1].key == last
    assert (writes[0].key == RUN.key) is (wanted == "0")


@pytest.mark.parametrize(
    "why, reason, known, event_ns, expected",
    [
        ("ip_vs was loaded", Reason.LOAD, None, None, True),
        ("ip_vs was loaded again", Reason.LOAD, ns_state(estimators=5), None, True),
        ("held since a load", Reason.LOAD, ns_state(held_since_ns=1), None, False),
        ("its birth was reported", Reason.BIRTH, None, NOW_NS, True),
        ("found by a scan, perhaps long after its birth", Reason.BIRTH, None, None, False),
        ("the guard has just started", Reason.START, None, None, False),
        ("somebody has changed it", Reason.DRIFT, ns_state(), NOW_NS, False),
    ],
)
def test_where_no_kthread_can_run(why, reason, known, event_ns, expected):
    assert decide.is_without_kthread(reason, known, event_ns) is expected, why


@pytest.mark.parametrize(
    "why, waited_ns, expected_ns",
    [
        ("not waiting", None, POLICY.resync_ns),
        ("begun at this moment", 0, NS_PER_MS),
        ("an eighth of the time so far", 80 * NS_PER_MS, 10 * NS_PER_MS),
        ("never rarer than this", 5 * NS_PER_S, 50 * NS_PER_MS),
        ("waited long enough", 10 * NS_PER_S, POLICY.resync_ns),
    ],
)
def test_next_check(why, waited_ns, expected_ns):
    now_ns = 100 * NS_PER_S
    since_ns = None if waited_ns is None else now_ns - waited_ns
    assert decide.next_check(POLICY, since_ns, now_ns) - now_ns == expected_ns, why


def test_waiting_for_a_load_costs_a_bounded_number_of_checks():
    now_ns, checks = 0, 0
    while now_ns < decide.LOAD_WAIT_NS:
        now_ns = decide.next_check(POLICY, 0, now_ns)
        checks += 1
    assert checks < 260


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
        ([State.HELD, State.AS_WANTED], Exit.NOT_AS_WANTED),
        ([State.CONTESTED, State.UNSUPPORTED], Exit.NOT_AS_WANTED),
        ([State.READ_ONLY, State.HIDDEN, State.GONE, State.EXCLUDED], Exit.AS_WANTED),
    ],
)
def test_exit_code(states, expected):
    assert severity.exit_code(tuple(KeyStatus(RUN, state) for state in states)) is expected


def test_each_state_has_its_place_among_the_others():
    assert set(severity.SEVERITY) == set(State)
    assert severity.worst([KeyStatus(RUN, state) for state in State]).state is State.DENIED
    assert severity.worst([]) is None


def test_an_action_describes_itself():
    text = str(Write(HOST, RUN.key, "1", "0", Reason.LOAD))
    assert text == "net.ipv4.vs.run_estimation in host (net:[4026531840]): 1 -> 0"
