"""Several visits to several namespaces: what is logged, remembered and counted."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd import model
from ipvsd.enforce import record
from ipvsd.enforce.contest import QUIET_NS
from ipvsd.enforce.decide import HOLD_LONG_NS, HOLD_NS
from ipvsd.enforce.enforcer import Target
from ipvsd.enforce.record_module import without_module
from ipvsd.journal.events import Kind
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
    ContestPolicy,
    Override,
    Reason,
    Selector,
    Setting,
    State,
)
from ipvsd.status import documents
from tests.builders import LB, NO_TREE, OBSERVE, POD, POLICY, RUN, WEB, value
from tests.stories import FakeSysctls, Story

YIELD = POLICY._replace(contest_policy=ContestPolicy.YIELD)


def only(story):
    (event,) = story.new_events
    return event


def test_a_birth_is_logged_with_its_reaction_time():
    story, kernel = Story(), FakeSysctls()
    event_ns = story.now_ns - 7 * NS_PER_MS
    assert story.visit((WEB, kernel), trigger=Reason.BIRTH, event_ns=event_ns) == [Kind.CHANGED]
    assert only(story).message == (
        "net.ipv4.vs.run_estimation in web (net:[11]): was 1, now 0 "
        "(the namespace is new, 7.0 ms from event to write)"
    )
    assert only(story).fields["IPVSD_REASON"] == "birth"
    assert only(story).fields["IPVSD_NETNS_INODE"] == "11"
    assert story.ns_state(WEB).set_after_ns == 7 * NS_PER_MS
    assert story.memory.tally.writes == {"birth": 1}
    assert story.memory.tally.exposed_ns == 7 * NS_PER_MS
    assert story.memory.tally.runs_leaked == 0
    assert story.memory.last_write.reaction_ns == 7 * NS_PER_MS


def test_counters_are_read_only_where_metrics_want_them_and_services_are():
    story = Story()
    for wanted, services, counted in (
        (False, 3, None),
        (True, 0, None),
        (True, 3, (1, 2, 3, 4, 5)),
    ):
        kernel = FakeSysctls()
        kernel.estimators = services
        story.kernel.namespaces[WEB.identity] = kernel
        target = Target(WEB, Reason.DRIFT, None, ("/a",), with_counters=wanted)
        assert story.enforcer.visit(POLICY, target).counters == counted
    assert story.kernel.counted == [kernel], "nobody else pays"


def test_a_birth_without_an_event_has_the_scan_before_as_its_bound():
    story, kernel = Story(), FakeSysctls()
    since_ns = story.now_ns - 5 * NS_PER_S
    assert story.visit((WEB, kernel), since_ns=since_ns) == [Kind.CHANGED]
    assert "(the namespace is new; up to 2 estimation runs meanwhile)" in only(story).message
    assert "IPVSD_REACTION_USEC" not in only(story).fields
    assert story.ns_state(WEB).set_after_ns is None
    assert story.memory.tally.exposed_ns == 5 * NS_PER_S


def test_a_new_namespace_that_is_right_already_is_no_event():
    story = Story()
    assert story.visit((WEB, FakeSysctls("0")), trigger=Reason.BIRTH) == []
    assert story.state(WEB) is State.AS_WANTED
    assert story.memory.tally.writes == {} and story.memory.tally.exposed_ns == 0


def test_a_load_is_logged_in_each_namespace():
    story = Story()
    kernels = [(WEB, FakeSysctls()), (POD, FakeSysctls()), (LB, FakeSysctls())]
    story.visit(*kernels, trigger=Reason.START)
    for number in (1, 2):
        for _, kernel in kernels:
            kernel.set("1")
        story.now_ns += 60 * NS_PER_S
        story.load()
        event_ns = story.now_ns
        story.now_ns += 10 * NS_PER_MS
        kinds = story.visit(*kernels, trigger=Reason.LOAD, event_ns=event_ns)
        assert kinds == [Kind.CHANGED] * 3
        names = [event.fields["IPVSD_NAMESPACE"] for event in story.new_events]
        assert names == ["web", "pid 7 (pause)", "/run/docker/netns/lb_x"]
        assert {event.fields["IPVSD_REASON"] for event in story.new_events} == {"load"}
        assert {event.fields["IPVSD_REACTION_USEC"] for event in story.new_events} == {"10000"}
        assert story.memory.tally.writes == {"start": 3, "load": 3 * number}
        assert story.memory.tally.exposed_ns == 30 * number * NS_PER_MS


def test_a_load_that_only_the_periodic_check_finds_is_logged_as_a_load():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    story.now_ns += 20 * NS_PER_S
    story.load()
    kernel.set("1")
    story.now_ns += 10 * NS_PER_S
    assert story.visit((WEB, kernel)) == [Kind.CHANGED]
    assert only(story).fields["IPVSD_REASON"] == "load"
    assert story.memory.tally.exposed_ns == 10 * NS_PER_S


def test_drift_is_logged_and_its_exposure_counts_from_the_last_right_check():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    kernel.set("1")
    story.now_ns += 30 * NS_PER_S
    assert story.visit((WEB, kernel)) == [Kind.CHANGED]
    assert only(story).fields["IPVSD_REASON"] == "drift"
    assert only(story).fields["IPVSD_PASSES_LEAKED"] == "15"
    assert story.memory.tally.exposed_ns == 30 * NS_PER_S
    story.now_ns += 30 * NS_PER_S
    assert story.visit((WEB, kernel)) == []
    assert story.memory.tally.exposed_ns == 30 * NS_PER_S


def contest(story, kernel, times, every_ns=30 * NS_PER_S):
    """Change the value before each visit; return the kinds of events of each visit."""
    kinds = []
    for _ in range(times):
        kernel.set("1")
        story.now_ns += every_ns
        kinds.append(story.visit((WEB, kernel)))
    return kinds


def test_a_contest_is_logged_once_and_so_is_its_end():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    kinds = contest(story, kernel, 20)
    assert kinds == [[Kind.CHANGED], [Kind.CHANGED], [Kind.CONTESTED]] + [[]] * 17
    assert story.memory.tally.writes["drift"] >= 3
    kernel.set("0")
    logged = []
    for _ in range(60):
        story.now_ns += 30 * NS_PER_S
        logged += story.visit((WEB, kernel))
    assert logged == [Kind.CONTEST_OVER]
    assert story.ns_state(WEB).contests == {}
    assert contest(story, kernel, 1) == [[Kind.CHANGED]]


@pytest.mark.parametrize("every_ns, writes", [(NS_PER_S, 1000), (NS_PER_S // 10, 102)])
def test_a_contested_value_is_set_once_a_second_and_its_runs_are_counted(every_ns, writes):
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    begin_ns = story.now_ns
    contest(story, kernel, 1000, every_ns)
    assert story.memory.tally.writes["drift"] == writes
    exposed_ns = story.now_ns - begin_ns
    assert exposed_ns - 2 * NS_PER_S <= story.memory.tally.exposed_ns <= exposed_ns
    assert story.memory.tally.runs_leaked == story.memory.tally.exposed_ns // (2 * NS_PER_S)


def test_a_contested_value_is_checked_each_second_until_the_contest_is_over():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    contest(story, kernel, 3)
    for _ in range(121):
        assert story.results[-1].retry_at_ns == story.now_ns + NS_PER_S
        story.now_ns += NS_PER_S
        story.visit((WEB, kernel))
    assert story.results[-1].retry_at_ns is None and story.ns_state(WEB).contests == {}


def test_with_yield_a_contested_value_is_left_alone_and_the_event_says_so():
    story, kernel = Story(YIELD), FakeSysctls("0")
    story.visit((WEB, kernel))
    assert contest(story, kernel, 3)[-1] == [Kind.CONTESTED]
    assert "the guard leaves it alone from now on (contested = yield)" in only(story).message
    assert contest(story, kernel, 7) == [[]] * 7
    assert kernel.reading.value == "1"
    assert story.memory.tally.writes == {"drift": 3}


@pytest.mark.parametrize("policy", [POLICY, YIELD])
@pytest.mark.parametrize("times", [3, 4, 9])
def test_a_load_is_set_and_logged_whatever_is_contested(policy, times):
    story, kernel = Story(policy), FakeSysctls("0")
    story.visit((WEB, kernel))
    contest(story, kernel, times)
    kernel.set("1")
    story.now_ns += NS_PER_MS
    story.load()
    kinds = story.visit((WEB, kernel), trigger=Reason.LOAD)
    assert kinds[0] is Kind.CHANGED and set(kinds[1:]) <= {Kind.CONTEST_OVER}
    assert story.new_events[0].fields["IPVSD_REASON"] == "load"
    assert kernel.reading.value == "0"


def test_a_reload_resets_contests():
    story, kernel = Story(YIELD), FakeSysctls("0")
    story.visit((WEB, kernel))
    contest(story, kernel, 5)
    story.memory = record.reset_contests(story.memory)
    assert story.ns_state(WEB).contests == {}
    story.now_ns += NS_PER_S
    assert story.visit((WEB, kernel), trigger=Reason.RELOAD) == [Kind.CHANGED]
    assert kernel.reading.value == "0"


def test_a_contest_in_one_namespace_is_none_in_another():
    story, web, pod = Story(), FakeSysctls("0"), FakeSysctls("0")
    story.visit((WEB, web), (POD, pod))
    contest(story, web, 5)
    pod.set("1")
    assert story.visit((POD, pod)) == [Kind.CHANGED]


@pytest.mark.parametrize(
    "state, error, reading",
    [
        (State.READ_ONLY, "EACCES", value("1")),  # from Linux 6.10 on
        (State.HIDDEN, "", NO_TREE),  # up to Linux 6.9
    ],
)
def test_a_foreign_namespace_is_logged_once_through_all_loads(state, error, reading):
    story, kernel = Story(), FakeSysctls()
    kernel.foreign, kernel.error, kernel.reading = True, error, reading
    assert story.visit((POD, kernel), trigger=Reason.BIRTH) == [Kind.FOREIGN]
    assert "another user namespace owns it" in only(story).message
    for _ in range(3):
        story.now_ns += 30 * NS_PER_S
        story.load()
        assert story.visit((POD, kernel), trigger=Reason.LOAD) == []
        assert story.visit((POD, kernel)) == []
        assert story.results[0].outcomes == ()
    assert story.state(POD) is state
    assert story.memory.tally.exposed_ns == 0 and story.memory.tally.failures == 0
    assert story.ns_state(POD).exposure.since_ns is None, "the guard cannot change this value"


def test_a_namespace_that_is_removed_while_it_is_wrong_closes_its_exposure():
    story, kernel = Story(), FakeSysctls()
    kernel.error = "EROFS"
    story.visit((WEB, kernel), trigger=Reason.BIRTH, event_ns=story.now_ns)
    assert story.memory.tally.exposed_ns == 0
    story.now_ns += 7 * NS_PER_S
    story.visit((WEB, kernel))
    assert story.memory.tally.exposed_ns == 0
    story.memory = record.forget(story.memory, set(story.memory.namespaces), story.now_ns)
    assert story.memory.namespaces == {}
    assert story.memory.tally.exposed_ns == 7 * NS_PER_S
    assert story.memory.tally.runs_leaked == 3


def test_what_another_namespace_of_the_same_identity_is_timed_by_is_its_own_birth():
    story, first, second = Story(), FakeSysctls(), FakeSysctls()
    first.cookie, second.cookie = 5, 6
    story.visit((WEB, first), trigger=Reason.BIRTH, event_ns=story.now_ns)
    story.now_ns += 20 * NS_PER_S
    born_ns = story.now_ns - 3 * NS_PER_MS
    scanned_ns = story.now_ns - 19 * NS_PER_S
    assert story.visit((WEB, second), born_ns=born_ns, since_ns=scanned_ns) == [Kind.CHANGED]
    assert only(story).fields["IPVSD_REACTION_USEC"] == "3000"
    assert story.memory.tally.runs_leaked == 0
    assert story.memory.tally.writes == {"birth": 2}


def test_a_drift_beside_a_birth_has_not_the_time_of_the_birth():
    story, web = Story(), FakeSysctls()
    web.cookie = 5
    story.visit((WEB, web), trigger=Reason.BIRTH, event_ns=story.now_ns)
    story.now_ns += NS_PER_S
    web.set("1")
    born_ns = story.now_ns - NS_PER_MS
    assert story.visit((WEB, web), trigger=Reason.BIRTH, born_ns=born_ns) == [Kind.CHANGED]
    assert only(story).fields["IPVSD_REASON"] == "drift"
    assert "IPVSD_REACTION_USEC" not in only(story).fields


@pytest.mark.parametrize(
    "why, kthreads, estimators, runs",
    [
        ("a timer runs without services too", False, 0, 2),
        ("no thread runs without a service", True, 0, 0),
        ("threads run for services", True, 3, 2),
    ],
)
def test_where_nothing_estimates_no_run_leaks(why, kthreads, estimators, runs):
    story, web = Story(), FakeSysctls()
    web.kthreads, web.estimators = kthreads, estimators
    born_ns = story.now_ns
    story.visit((WEB, web), trigger=Reason.BIRTH, event_ns=born_ns)
    story.now_ns += 5 * NS_PER_S
    if web.reading.value == "0":  # set at the first visit
        web.set("1")
        story.visit((WEB, web), since_ns=born_ns)
    story.visit((WEB, web))
    assert story.memory.tally.runs_leaked == runs, why


def test_living_namespaces_are_not_forgotten():
    story = Story()
    story.visit((WEB, FakeSysctls()), (POD, FakeSysctls()))
    assert record.forget(story.memory, set(), story.now_ns) is story.memory
    left = record.forget(story.memory, {POD.identity}, story.now_ns)
    assert set(left.namespaces) == {WEB.identity}
    assert left.tally == story.memory.tally


def test_another_cookie_is_another_namespace():
    story, first, second = Story(), FakeSysctls(), FakeSysctls()
    first.cookie, second.cookie = 5, 6
    first.error = "EROFS"
    story.visit((WEB, first), trigger=Reason.BIRTH, event_ns=story.now_ns)
    story.now_ns += 5 * NS_PER_S
    born_ns = story.now_ns - NS_PER_MS
    assert story.visit((WEB, second), since_ns=born_ns) == [Kind.CHANGED]
    assert only(story).fields["IPVSD_REASON"] == "birth"
    assert story.ns_state(WEB).first_ns == story.now_ns and story.ns_state(WEB).cookie == 6
    # The first was last seen when the second was not there yet.
    assert story.memory.tally.exposed_ns == 5 * NS_PER_S - NS_PER_MS + NS_PER_MS


def test_an_inode_that_is_used_again_does_not_inherit_a_contest():
    story, first, second = Story(YIELD), FakeSysctls("0"), FakeSysctls()
    first.cookie, second.cookie = 5, 6
    story.visit((WEB, first))
    contest(story, first, 5)
    assert story.visit((WEB, second)) == [Kind.CHANGED]
    assert story.ns_state(WEB).contests == {}


def test_without_cookies_the_same_identity_is_the_same_namespace():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    first_ns = story.now_ns
    story.now_ns += NS_PER_S
    story.visit((WEB, kernel))
    assert story.ns_state(WEB).first_ns == first_ns


def test_observing_logs_once_and_counts_no_exposure():
    story, kernel = Story(OBSERVE), FakeSysctls()
    assert story.visit((WEB, kernel), trigger=Reason.BIRTH) == [Kind.WOULD_CHANGE]
    story.now_ns += 60 * NS_PER_S
    assert story.visit((WEB, kernel)) == []
    assert kernel.reading.value == "1"
    assert story.memory.tally.exposed_ns == 0
    assert story.ns_state(WEB).exposure.since_ns is None
    assert story.memory.tally.writes == {}


@pytest.mark.parametrize(
    "why, policy",
    [
        ("observing only", OBSERVE),
        ("wanted at 1", POLICY._replace(settings=(Setting(RUN.key, "1", "x:1"),))),
        ("excluded", POLICY._replace(exclusions=(Selector("name", "web", "x:1"),))),
    ],
)
def test_an_exposure_ends_when_the_policy_asks_for_no_change_any_more(why, policy):
    story, kernel = Story(), FakeSysctls()
    kernel.error = "EROFS"
    story.visit((WEB, kernel), trigger=Reason.BIRTH, event_ns=story.now_ns)
    story.now_ns += 5 * NS_PER_S
    story.policy = policy
    story.visit((WEB, kernel), trigger=Reason.RELOAD)
    assert story.ns_state(WEB).exposure.since_ns is None, why
    assert story.memory.tally.exposed_ns == 5 * NS_PER_S


def test_held_then_written_keeps_its_reason_and_is_no_contest():
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads, kernel.estimators = True, 5
    event_ns = story.now_ns
    assert story.visit((WEB, kernel), trigger=Reason.BIRTH, event_ns=event_ns) == [Kind.HELD]
    assert story.results[0].retry_at_ns == story.now_ns + HOLD_NS
    assert kernel.reading.value == "1" and story.state(WEB) is State.HELD
    story.now_ns += NS_PER_S
    assert story.visit((WEB, kernel)) == []
    story.now_ns = story.results[0].retry_at_ns
    assert story.visit((WEB, kernel)) == [Kind.CHANGED]
    assert only(story).fields["IPVSD_REASON"] == "birth"
    assert kernel.reading.value == "0"
    assert story.ns_state(WEB).contests == {}
    assert story.ns_state(WEB).held_since_ns is None
    assert story.memory.tally.writes == {"birth": 1}
    assert story.memory.tally.exposed_ns == HOLD_NS


def keep_adding(story, kernel):
    """Add services for ten times as long as a hold is long; return what was logged."""
    logged = []
    end_ns = story.now_ns + 10 * HOLD_LONG_NS
    while story.now_ns < end_ns:
        kernel.estimators += 1
        logged += story.visit((WEB, kernel), trigger=Reason.BIRTH)
        story.now_ns += 2 * NS_PER_S
    return logged


def test_nothing_is_written_while_services_keep_coming_and_a_long_hold_is_logged_once():
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads = True
    assert keep_adding(story, kernel) == [Kind.HELD, Kind.HELD_LONG]
    assert kernel.reading.value == "1" and story.state(WEB) is State.HELD
    story.now_ns += HOLD_NS
    assert story.visit((WEB, kernel)) == [Kind.CHANGED]
    assert kernel.reading.value == "0"


def test_a_kernel_that_is_known_to_be_fixed_is_written_after_a_long_hold():
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads = story.kernel.fixed = True
    assert keep_adding(story, kernel) == [Kind.HELD, Kind.CHANGED]
    assert kernel.reading.value == "0"


def test_after_the_last_service_the_kthread_runs_on_so_the_write_waits():
    story, kernel = Story(), FakeSysctls("0")
    kernel.kthreads, kernel.estimators, story.kernel.running = True, 5, True
    story.visit((WEB, kernel))
    kernel.estimators = 0  # ipvsadm --clear, perhaps with a restore at its heels
    kernel.set("1")
    assert story.visit((WEB, kernel)) == [Kind.HELD]
    story.now_ns += HOLD_NS
    assert story.visit((WEB, kernel)) == [Kind.CHANGED]


@pytest.mark.parametrize("running, kinds", [(True, [Kind.HELD]), (False, [Kind.CHANGED])])
def test_a_guard_that_starts_waits_where_threads_run_although_there_are_no_services(running, kinds):
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads, story.kernel.running = True, running
    assert story.visit((WEB, kernel), trigger=Reason.START) == kinds


def test_what_was_held_and_is_right_by_itself_is_logged():
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads, kernel.estimators = True, 5
    assert story.visit((WEB, kernel), trigger=Reason.BIRTH) == [Kind.HELD]
    kernel.set("0")
    assert story.visit((WEB, kernel)) == [Kind.HELD_OVER]
    assert story.visit((WEB, kernel)) == []


@pytest.mark.parametrize("why, dry, mode", [("dry", True, POLICY), ("observing", False, OBSERVE)])
def test_who_does_not_write_holds_nothing(why, dry, mode):
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads, kernel.estimators = True, 5
    story.kernel.namespaces[WEB.identity] = kernel
    result = story.enforcer.visit(mode, Target(WEB, Reason.APPLY, None, ("/a/way/in",)), dry)
    assert [key.state for key in result.keys] == [State.DIFFERS], why
    assert result.retry_at_ns is None


MOVED = WEB._replace(owner=WEB.owner._replace(cgroup="/elsewhere"))
ELSEWHERE = Selector("cgroup", "/elsewhere", "x:1")


def test_a_namespace_whose_member_has_moved_into_an_exclusion_is_not_written():
    story, kernel = Story(POLICY._replace(exclusions=(ELSEWHERE,))), FakeSysctls()
    story.kernel.moved[WEB.identity] = MOVED
    assert story.visit((WEB, kernel)) == []
    assert kernel.reading.value == "1"
    assert story.results[0].rule == "excluded by cgroup:/elsewhere (x:1)"
    assert story.results[0].namespace == MOVED


def test_a_namespace_whose_member_has_moved_under_another_rule_is_set_as_that_says():
    override = Override(ELSEWHERE, RUN.key, "1", "x:2")
    story, kernel = Story(POLICY._replace(overrides=(override,))), FakeSysctls("0")
    away, back = MOVED, WEB
    assert story.visit((away, kernel)) == [Kind.CHANGED] and kernel.reading.value == "1"
    story.kernel.moved[WEB.identity] = back
    kernel.set("5")
    assert story.visit((away, kernel)) == [Kind.CHANGED] and kernel.reading.value == "0"


def test_without_rules_about_owners_nothing_is_described_again():
    story = Story()
    story.kernel.described_again = None
    assert story.visit((WEB, FakeSysctls())) == [Kind.CHANGED]


def test_without_services_nothing_is_held():
    story, kernel = Story(), FakeSysctls()
    kernel.kthreads = story.kernel.running = True
    event_ns = story.now_ns
    assert story.visit((WEB, kernel), trigger=Reason.BIRTH, event_ns=event_ns) == [Kind.CHANGED]


def test_a_namespace_that_vanished_during_its_check_is_forgotten():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    gone = story.results[0]._replace(keys=(story.results[0].keys[0]._replace(state=State.GONE),))
    done = model.CheckResults(story.memory.module, (gone,), None, story.now_ns, story.now_ns)
    memory, new_events = record.record(story.memory, POLICY, done)
    assert memory.namespaces == {} and new_events == []


def test_a_storm_of_births_is_logged_as_a_hundred_lines_and_a_number():
    story = Story()
    namespaces = [WEB._replace(inode=1000 + n, name=f"pod {n}") for n in range(5000)]
    story.visit(*((one, FakeSysctls()) for one in namespaces), trigger=Reason.BIRTH)
    assert story.kinds() == [Kind.CHANGED] * 100
    assert story.memory.tally.writes == {"birth": 5000}
    story.now_ns += 30 * NS_PER_S
    story.visit(*((one, FakeSysctls("0")) for one in namespaces))
    assert story.kinds() == [Kind.MANY]
    assert only(story).fields["IPVSD_COUNT"] == "4900"


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["visit", "write", "load", "deny", "allow", "service", "gone", "reload"]),
        st.integers(0, 40 * NS_PER_S),
        st.sampled_from([WEB, POD]),
    ),
    max_size=40,
)


@given(_STEPS, st.booleans(), st.sampled_from([POLICY, YIELD]))
def test_whatever_happens_times_and_writes_are_counted_once(steps, kthreads, policy):
    """No time is counted twice, every write is counted, and no value is written when right."""
    story = Story(policy)
    begin_ns = story.now_ns
    kernels = {WEB: FakeSysctls(), POD: FakeSysctls()}
    absent_ns = {WEB: begin_ns, POD: begin_ns}  # when each was last known to be absent
    writes = 0
    for what, wait_ns, namespace in steps:
        story.now_ns += wait_ns
        kernel = kernels[namespace]
        kernel.kthreads = kthreads
        if what in ("visit", "load"):
            if what == "load":
                story.load()
                kernel.set("1")
            right_before = kernel.reading.value == "0"
            trigger = Reason.LOAD if what == "load" else Reason.DRIFT
            story.visit((namespace, kernel), trigger=trigger, since_ns=absent_ns[namespace])
            done = [outcome for outcome in story.results[0].outcomes if not outcome.error]
            writes += len(done)
            assert not (right_before and story.results[0].outcomes)
            assert len(story.new_events) <= 2
        elif what == "write":
            kernel.set("1")
        elif what in ("deny", "allow"):
            kernel.error = "EROFS" if what == "deny" else ""
        elif what == "service":
            kernel.estimators += 1
        elif what == "gone":
            alive = set(story.memory.namespaces) - {namespace.identity}
            story.memory = record.forget(
                story.memory, set(story.memory.namespaces) - alive, story.now_ns
            )
            absent_ns[namespace] = story.now_ns
        else:
            story.memory = record.reset_contests(story.memory)
        tally = story.memory.tally
        assert sum(tally.writes.values()) == writes
        assert 0 <= tally.exposed_ns <= 2 * (story.now_ns - begin_ns)
        assert tally.runs_leaked * 2 * NS_PER_S <= tally.exposed_ns
        for ns_state in story.memory.namespaces.values():
            if ns_state.keys and ns_state.keys[0].state is State.AS_WANTED:
                assert ns_state.exposure.since_ns is None


def test_quiet_for_a_minute_is_the_least_that_ends_a_contest():
    assert QUIET_NS == 60 * NS_PER_S


def test_logged_conditions_outlive_the_module_and_values_do_not():
    story, kernel = Story(), FakeSysctls()
    kernel.error = "EROFS"
    story.visit((WEB, kernel), trigger=Reason.BIRTH, event_ns=story.now_ns)
    logged = story.ns_state(WEB).conditions
    story.now_ns += 5 * NS_PER_S
    story.memory = without_module(story.memory, (0, 0), story.now_ns)
    assert story.ns_state(WEB).keys == () and story.ns_state(WEB).conditions == logged
    assert story.ns_state(WEB).exposure.since_ns is None
    assert story.memory.tally.runs_leaked == 2
    again = without_module(story.memory, (0, 0), story.now_ns + 9 * NS_PER_S)
    assert again == story.memory


def test_a_revision_changes_with_what_is_published_and_not_with_each_check():
    story, kernel = Story(), FakeSysctls()

    def revised(*visits, **how):
        before = story.memory.revision
        story.now_ns += 5 * NS_PER_S
        story.visit(*visits, **how)
        return story.memory.revision != before

    assert revised((WEB, kernel), trigger=Reason.BIRTH)
    assert not revised((WEB, kernel))
    kernel.set("1")
    assert revised((WEB, kernel))
    kernel.set("1")
    kernel.error = "EACCES"
    assert revised((WEB, kernel))
    assert revised((WEB, kernel))  # at 1 for longer
    foreign = FakeSysctls()
    foreign.foreign, foreign.error = True, "EROFS"
    assert revised((POD, foreign))
    assert not revised((POD, foreign))  # at 1 for longer too, but that is not accounted for
    for changes in (1, 0):
        before = story.memory.revision
        story.memory = without_module(story.memory, (0, 0), story.now_ns)
        assert (story.memory.revision != before) == bool(changes)
    story.memory = record.forget(story.memory, set(), story.now_ns)
    before = story.memory.revision
    story.memory = record.forget(story.memory, set(story.memory.namespaces), story.now_ns)
    assert story.memory.revision == before + 1


def test_when_the_guard_has_switched_estimation_off_is_remembered():
    story, kernel = Story(), FakeSysctls("0")
    story.visit((WEB, kernel))
    assert story.ns_state(WEB).off_since_ns is None, "somebody else did it, at an unknown time"
    assert "off_since" not in documents.ns_state_document(story.ns_state(WEB), story.now_ns)
    kernel.set("1")
    story.visit((WEB, kernel))
    off_since_ns = story.ns_state(WEB).off_since_ns
    assert abs(off_since_ns - time.time() * NS_PER_S) < 60 * NS_PER_S
    story.now_ns += NS_PER_S
    story.visit((WEB, kernel))
    assert story.ns_state(WEB).off_since_ns == off_since_ns
    assert documents.ns_state_document(story.ns_state(WEB), story.now_ns)["off_since"]
