"""When estimation runs on purpose: switched on in every namespace, for one run, and off again."""

import pytest

from ipvsd.config.parser import Source, parse
from ipvsd.daemon import sampling
from ipvsd.daemon.daemon_state import DaemonState
from ipvsd.daemon.sampling import Sampling, next_sample_ns
from ipvsd.enforce.memory import Memory
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.journal.events import Kind
from ipvsd.model import NS_PER_S, KeyStatus, Module, State
from tests.builders import HOST, WEB

HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS
MIDNIGHT_NS = 20_000 * DAY_NS
HOURLY = "[sampling]\nevery = 1h\n"


def policy(text):
    return parse([Source("guard.conf", text)]).policy


class Stage:
    """A sampler, the state that it switches, and two clocks that agree."""

    def __init__(self, monkeypatch, text=HOURLY):
        self.now_ns = MIDNIGHT_NS
        monkeypatch.setattr(sampling, "monotonic_ns", lambda: self.now_ns)
        monkeypatch.setattr(sampling, "_wall_ns", lambda: self.now_ns)
        self.state = DaemonState(parse([Source("guard.conf", text)]), HOST)
        self.state.reloading = False
        self.state.memory = Memory(module=Module.LIVE)
        self.threads = False
        self.sampling = Sampling(self.state, lambda: self.threads, "node")
        self.check(HOST, WEB)

    def check(self, *namespaces, state=State.AS_WANTED):
        """Check namespaces, as the daemon does after a switch."""
        keys = tuple(KeyStatus(setting, state) for setting in self.state.policy.settings)
        known = dict(self.state.memory.namespaces)
        known.update({one.identity: NamespaceState(one, 1, 1, 1, keys=keys) for one in namespaces})
        self.state.memory = self.state.memory._replace(namespaces=known)

    def wanted(self):
        return [setting.wanted for setting in self.state.policy.settings]

    def wait(self):
        """Call the sampler when it asks for that; return whether it has switched."""
        self.now_ns = self.sampling.deadline_ns()
        return self.sampling.proceed()

    def logged(self):
        assert {event.kind for event in self.state.new_events} <= {Kind.SAMPLED}
        return [event.message for event in self.state.new_events]

    def begin(self):
        assert not self.sampling.proceed()  # schedules the first one
        assert self.wait() and self.wanted() == ["1"]


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


def test_a_sample_lasts_for_one_run_in_every_namespace(stage):
    before = stage.state.config
    stage.begin()
    assert 0 < stage.now_ns - MIDNIGHT_NS <= HOUR_NS
    stage.check(HOST)
    assert not stage.wait() and stage.wanted() == ["1"], "one namespace is not switched on yet"
    stage.check(WEB)
    assert not stage.wait()
    on_ns = stage.now_ns
    assert stage.wait() and stage.state.config is before
    assert 2 * NS_PER_S < stage.now_ns - on_ns < 3 * NS_PER_S, "the timer's period, and no second"
    (message,) = stage.logged()
    assert "in 2 namespaces for one run" in message
    assert stage.state.sampling["count"] == 1 and stage.state.sampling["last"]
    first_ns = stage.now_ns
    stage.check(HOST, WEB)
    assert not stage.sampling.proceed()
    assert stage.wait() and HOUR_NS * 0.9 < stage.now_ns - first_ns < HOUR_NS


def test_a_namespace_that_hangs_delays_the_end_by_seconds_only(stage):
    stage.begin()
    began_ns = stage.now_ns
    while not stage.wait():
        pass
    assert stage.now_ns - began_ns < 8 * NS_PER_S and stage.wanted() == ["0"]


def test_a_reload_meanwhile_prevails(stage):
    stage.begin()
    stage.state.config = new = parse([Source("guard.conf", "[guard]\nresync = 5s\n")])
    assert not stage.sampling.proceed()
    assert stage.state.config is new and "cut short" in stage.logged()[0]
    assert not stage.sampling.proceed() and stage.sampling.deadline_ns() is None


class FakeLoop:
    def __init__(self, stage):
        self.stage = stage

    def wait(self, deadline_ns):
        self.stage.now_ns = deadline_ns


@pytest.mark.parametrize("hangs", [False, True])
def test_a_guard_that_stops_switches_off_before(stage, hangs):
    stage.begin()
    stage.check(HOST, WEB)
    began_ns = stage.now_ns

    def check():
        assert stage.wanted() == ["0"]
        stage.check(HOST)

    stage.sampling.stop(check, lambda: None if hangs else stage.check(WEB), FakeLoop(stage))
    assert stage.now_ns - began_ns < (6 if hangs else 1) * NS_PER_S
    assert "off again before the guard stops" in stage.logged()[0]
    assert ("may not be" in stage.logged()[0]) == bool(hangs), "one namespace was not reached"


def test_a_guard_that_stops_right_after_a_sample_waits_until_all_is_off(stage):
    stage.begin()
    stage.check(HOST, WEB)
    while not stage.wait():
        pass
    stage.check(HOST)  # the other one is still on
    stage.sampling.stop(pytest.fail, lambda: stage.check(WEB), FakeLoop(stage))
    known = stage.state.memory.namespaces[WEB.identity]
    assert [key.setting.wanted for key in known.keys] == ["0"]


def test_a_guard_that_stops_at_another_time_switches_nothing(stage):
    stage.sampling.stop(pytest.fail, pytest.fail, FakeLoop(stage))
    assert stage.logged() == []


@pytest.mark.parametrize(
    "text",
    ["", "[sampling]\nevery = off\n", HOURLY + "[guard]\nmode = observe\n"],
    ids=["by default", "off", "observing"],
)
def test_where_nothing_is_sampled(monkeypatch, text):
    stage = Stage(monkeypatch, text)
    assert not stage.sampling.proceed() and stage.sampling.deadline_ns() is None
    assert stage.state.sampling is None


def test_where_threads_estimate_nothing_is_sampled_and_that_is_logged_once(stage):
    stage.threads = True
    assert not stage.sampling.proceed()
    assert not stage.wait() and "strategy = steer" in stage.logged()[0]
    assert not stage.sampling.proceed() and stage.sampling.deadline_ns() is None
    assert len(stage.logged()) == 1 and stage.wanted() == ["0"]


@pytest.mark.parametrize("state", [State.CONTESTED, State.HELD, State.DIFFERS, State.LOADING])
def test_what_is_in_dispute_is_not_sampled_but_later(stage, state):
    stage.check(HOST, state=state)
    stage.sampling.proceed()
    assert not stage.wait() and stage.wanted() == ["0"]
    due_ns = stage.now_ns
    stage.check(HOST)
    assert stage.wait() and stage.now_ns - due_ns == 60 * NS_PER_S


def test_only_the_general_setting_is_sampled(monkeypatch):
    stage = Stage(monkeypatch, HOURLY + "[sysctl name:web]\nnet.ipv4.vs.run_estimation = 0\n")
    stage.begin()
    assert [one.wanted for one in stage.state.policy.overrides] == ["0"]


@pytest.mark.parametrize("node", ["a", "b", "node-17", ""])
@pytest.mark.parametrize("every, at", [("1h", "00:10"), ("24h", "03:30"), ("10min", "23:59")])
def test_the_time_of_day_counts_on_by_the_period_with_a_jitter_for_each_host(node, every, at):
    wanted = policy(f"[sampling]\nevery = {every}\nat = {at}\n")
    hours, minutes = map(int, at.split(":"))
    at_ns = (hours * 60 + minutes) * 60 * NS_PER_S
    period_ns = wanted.sampling_ns
    moment_ns = MIDNIGHT_NS + 7 * NS_PER_S
    for _ in range(3):
        after_ns = next_sample_ns(wanted, node, moment_ns)
        assert 0 < after_ns - moment_ns <= period_ns
        late_ns = (after_ns - at_ns) % period_ns
        assert late_ns <= min(period_ns // 10, 300 * NS_PER_S)
        assert after_ns == next_sample_ns(wanted, node, after_ns - 1)
        moment_ns = after_ns


def test_hosts_differ():
    wanted = policy("[sampling]\nevery = 1h\n")
    assert len({next_sample_ns(wanted, f"node-{n}", MIDNIGHT_NS) for n in range(100)}) > 50
