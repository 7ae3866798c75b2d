"""The sweeper with a real guard, in real namespaces, on a stand-in sysctl."""

import select
import threading
import time

import pytest

from ipvsd import sweep
from ipvsd.core import ledger
from ipvsd.core.agenda import GLANCE_SHARE, SWEEP_SHARE
from ipvsd.core.ledger import Memory
from ipvsd.core.model import NS_PER_MS, NS_PER_S, KeyStatus, Mode, Module, Policy, Reason, State
from ipvsd.guard import Guard, as_pass
from ipvsd.kernel import netns
from ipvsd.kernel.namespaces import Finder
from ipvsd.loop import monotonic_ns
from ipvsd.sweep import Sweeper
from tests.namespaces.holders import TIMEOUT_S, identity
from tests.namespaces.test_visitor import STAND_IN, read

POLICY = Policy(Mode.ENFORCE, 3600 * NS_PER_S, (STAND_IN,))


class Recorder(Guard):
    """The real guard, with a list of its visits and something to do at each."""

    def __init__(self):
        super().__init__()
        self.visits = []
        self.at_visit = lambda target: None

    def visit(self, policy, target, dry=False):
        self.visits.append(target)
        self.at_visit(target)
        return super().visit(policy, target, dry)


class Drive:
    """What the daemon does with a sweeper, and nothing else."""

    def __init__(self, holders):
        self.guard = Recorder()
        self.sweeper = Sweeper(self.guard, holders.root)
        self.policy = POLICY
        self.memory = Memory(module=Module.LIVE)
        self.told = True
        self.news = []
        self.hung = []
        self.errors = []

    def turn(self):
        try:
            done = self.sweeper.collect(self.memory)
        except RuntimeError as error:
            done, _ = None, self.errors.append(error)
        self.hung += filter(None, [self.sweeper.give_up_what_hangs()])
        if done is not None:
            if done.alive is not None:
                self.memory = ledger.forget(self.memory, done.alive, monotonic_ns())
            settled = as_pass(done.seen, Module.LIVE, done.since_ns)
            self.memory, news = ledger.settle(self.memory, self.policy, settled)
            self.news += news
        self.sweeper.proceed(self.policy, self.memory, self.told)

    def until(self, condition, what="", timeout_s=TIMEOUT_S):
        end_ns = monotonic_ns() + timeout_s * NS_PER_S
        self.turn()
        while not condition():
            assert monotonic_ns() < end_ns, what or "not in time"
            deadline_ns = self.sweeper.deadline_ns()
            wait_s = TIMEOUT_S if deadline_ns is None else (deadline_ns - monotonic_ns()) / 1e9
            select.select([self.sweeper.fileno()], [], [], min(max(0, wait_s), 0.2))
            self.turn()

    def until_idle(self):
        self.until(lambda: self.sweeper.idle and self.sweeper.whole)

    def sweep(self, reason=Reason.START, told_ns=None):
        self.sweeper.all_anew(reason, told_ns)
        self.until_idle()

    def load(self):
        """ip_vs was loaded: in each namespace the value is the kernel's again."""
        now_ns = monotonic_ns()
        self.memory = self.memory._replace(loaded_ns=now_ns)
        for target in {target.paths: target for target in self.guard.visits}.values():
            self.set_back(target.paths, target.namespace.identity)
        self.guard.visits = []
        self.news = []
        return now_ns

    def set_back(self, paths, meant):
        visitor = netns.Visitor()

        def write():
            with open("/proc/sys/net/ipv4/ip_default_ttl", "w", encoding="ascii") as file:
                file.write("64")

        try:
            visitor.call(lambda: netns.enter(paths, meant, write))
        finally:
            visitor.close()

    def visited(self):
        return [target.namespace.identity for target in self.guard.visits]


@pytest.fixture
def drive(holders):
    made = Drive(holders)
    yield made
    made.sweeper.close()


def value_in(path):
    visitor = netns.Visitor()
    try:
        return visitor.call(lambda: netns.enter([path], identity(path), read))
    finally:
        visitor.close()


def test_every_namespace_is_set_however_it_is_held(holders, drive):
    here = read()
    paths = [
        holders.process()[1],
        holders.mount(),
        holders.thread()[1],
        holders.descriptor()[1],
    ]
    child, mounted, meant = holders.mount_elsewhere()
    paths.append(f"/proc/{child.pid}/root{mounted}")
    assert identity(paths[-1]) == meant
    drive.sweep()
    assert [value_in(path) for path in paths] == ["63"] * 5
    assert read() == here
    assert drive.memory.tally.writes == {"start": 5}
    assert {space.keys[0].state for space in drive.memory.spaces.values()} == {State.AS_WANTED}
    assert drive.sweeper.whole and drive.sweeper.idle


def test_the_first_sweep_visits_each_namespace_once(holders, drive):
    meant = [identity(holders.mount(str(number))) for number in range(3)]
    drive.sweep()
    assert sorted(one for one in drive.visited() if one in meant) == sorted(meant)


def thread_cpu_s():
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)  # time.thread_time() of Python 3.6


@pytest.mark.parametrize("reason", [Reason.START, Reason.LOAD, Reason.RESYNC])
def test_the_next_sweep_waits_until_this_one_is_but_a_small_part_of_the_time(
    holders, drive, reason
):
    new = identity(holders.mount())

    def at_visit(target):
        if target.namespace.identity == new:
            until_s = thread_cpu_s() + 0.2
            while thread_cpu_s() < until_s:
                pass

    if reason is not Reason.START:
        drive.sweep()  # then all are known
    drive.guard.at_visit = at_visit
    drive.policy = POLICY._replace(resync_ns=1)
    before = drive.visited().count(new)
    drive.sweep(reason)
    assert drive.visited().count(new) == before + 1
    assert drive.sweeper.deadline_ns() > monotonic_ns() + 0.2 * (SWEEP_SHARE - 5) * NS_PER_S


def test_how_long_describing_takes_does_not_keep_the_next_look_waiting(holders, drive, monkeypatch):
    describe = Finder.describe

    def slow(self, *what):
        time.sleep(0.5)
        return describe(self, *what)

    monkeypatch.setattr(Finder, "describe", slow)
    holders.process()
    drive.sweep()
    assert drive.sweeper._agenda.glance_after_ns < monotonic_ns() + GLANCE_SHARE * NS_PER_S // 2


def test_a_second_sweep_writes_nothing(holders, drive):
    holders.mount()
    drive.sweep()
    drive.news = []
    drive.sweep(Reason.RESYNC)
    assert drive.news == [] and drive.memory.tally.writes == {"start": 1}


def test_a_birth_that_is_told_is_found_and_told_with_its_reaction_time(holders, drive):
    drive.sweep()
    path = holders.mount()
    drive.sweeper.hint(1, monotonic_ns())
    drive.until(lambda: drive.news)
    assert value_in(path) == "63"
    assert drive.news[0].fields["IPVSD_REASON"] == "birth"
    assert int(drive.news[0].fields["IPVSD_REACTION_USEC"]) < TIMEOUT_S * 10**6
    drive.until_idle()
    assert len(drive.guard.visits) == 1


def test_a_birth_that_is_not_told_is_found_within_a_second_or_so(holders, drive):
    drive.told = False
    drive.sweep()
    path = holders.mount()
    drive.until(lambda: drive.news)
    assert value_in(path) == "63" and drive.news[0].fields["IPVSD_REASON"] == "birth"
    assert "IPVSD_REACTION_USEC" not in drive.news[0].fields


def test_a_namespace_that_only_a_deep_look_finds_is_found_by_its_birth(holders, drive):
    drive.sweep()
    _, path, _ = holders.descriptor()
    drive.sweeper.hint(1, monotonic_ns())
    drive.until(lambda: drive.news)
    assert value_in(path) == "63"


def test_a_load_is_told_as_a_load_everywhere(holders, drive):
    holders.mount("a"), holders.mount("b")
    drive.sweep()
    told_ns = drive.load()
    drive.sweep(Reason.LOAD, told_ns)
    assert [event.fields["IPVSD_REASON"] for event in drive.news] == ["load", "load"]
    assert all("IPVSD_REACTION_USEC" in event.fields for event in drive.news)


def test_a_namespace_that_goes_is_forgotten(holders, drive):
    child, _ = holders.process()
    drive.sweep()
    assert len(drive.memory.spaces) == 1
    holders.end(child)
    drive.sweep(Reason.RESYNC)
    assert drive.memory.spaces == {}


def estimators(drive, counts):
    """Let the namespaces have so many estimators from the next look on, as far as is remembered."""
    real = drive.guard.visit

    def visit(policy, target, dry=False):
        seen = real(policy, target, dry)
        return seen._replace(estimators=counts.get(target.namespace.identity, 0))

    drive.guard.visit = visit


def test_a_sweep_begins_with_the_namespaces_that_have_the_most_estimators(holders, drive):
    few, most, some = (identity(holders.mount(name)) for name in "abc")
    estimators(drive, {few: 1, most: 900, some: 30})
    drive.sweep()
    told_ns = drive.load()
    drive.sweep(Reason.LOAD, told_ns)
    assert drive.visited()[:3] == [most, some, few]


def test_what_is_new_does_not_wait_for_the_end_of_a_sweep(holders, drive, monkeypatch):
    monkeypatch.setattr(sweep, "VISITS_A_JOB", 1)
    known = [identity(holders.mount(str(number))) for number in range(6)]
    drive.sweep()
    drive.guard.visits = []
    born = []

    def at_visit(_target):
        if not born:
            born.append(identity(holders.mount("new")))
            drive.sweeper.hint(1, monotonic_ns())

    drive.guard.at_visit = at_visit
    drive.sweep(Reason.RESYNC)
    order = drive.visited()
    assert set(known) < set(order)
    assert order.index(born[0]) <= 2


def test_what_a_routine_sweep_finds_new_does_not_wait_for_its_end(holders, drive, monkeypatch):
    monkeypatch.setattr(sweep, "VISITS_A_JOB", 1)
    for number in range(6):
        holders.mount(str(number))
    drive.sweep()
    drive.guard.visits = []
    new = identity(holders.mount("new"))
    drive.sweeper.all_anew(Reason.RESYNC, None)
    drive.until_idle()
    assert drive.visited()[0] == new


def test_after_a_load_what_is_known_is_set_before_anything_hidden_is_searched_for(
    holders, drive, monkeypatch
):
    """A deep look takes seconds where there are many processes: the values would wait for it."""
    holders.mount("a"), holders.mount("b")
    drive.sweep()
    told_ns = drive.load()
    order = []
    real = Finder.look

    def look(finder, deep):
        order.append("deep" if deep else "look")
        return real(finder, deep)

    monkeypatch.setattr(Finder, "look", look)
    drive.guard.at_visit = lambda _target: order.append("visit")
    drive.sweep(Reason.LOAD, told_ns)
    assert order == ["visit", "visit", "look", "deep"]


def test_after_a_load_what_is_new_or_was_replaced_is_set_too(holders, drive, monkeypatch):
    """What is known is visited without a look; then one finds the rest, and only that."""
    known = identity(holders.mount("known"))
    drive.sweep()
    told_ns = drive.load()
    new = holders.mount("new")
    drive.sweep(Reason.LOAD, told_ns)
    assert drive.visited() == [known, identity(new)]
    assert value_in(new) == "63"
    drive.guard.visits = []
    drive.sweep(Reason.RESYNC)
    assert sorted(drive.visited()) == sorted([known, identity(new)])


def test_a_visit_from_before_the_load_does_not_count(holders, drive):
    """Its value is the kernel's again when the visit is reported."""
    path = holders.mount()
    drive.sweep()
    real, loads = drive.guard.visit, []

    def visit(policy, target, dry=False):
        seen = real(policy, target, dry)
        if not loads:
            loads.append(drive.load())
            drive.sweeper.all_anew(Reason.LOAD, loads[0])
        return seen

    drive.guard.visit = visit
    drive.sweep(Reason.RESYNC)
    assert value_in(path) == "63"


def test_a_sweep_that_takes_longer_than_its_period_comes_to_an_end(holders, drive, monkeypatch):
    """Else the namespaces at its end would never be looked into."""
    monkeypatch.setattr(sweep, "VISITS_A_JOB", 1)
    meant = {identity(holders.mount(str(number))) for number in range(5)}
    drive.policy = POLICY._replace(resync_ns=1)
    drive.sweeper.all_anew(Reason.START, None)
    drive.until(lambda: drive.sweeper.whole, "it never comes to its end", timeout_s=3)
    assert meant <= set(drive.visited())
    drive.policy = POLICY
    drive.until_idle()


def test_a_look_that_fails_is_made_again(holders, drive, monkeypatch):
    """A defect or a lack of descriptors must not end the periodic looks for good."""
    path, real, failures = holders.mount(), Finder.look, []

    def look(finder, deep):
        if not failures:
            failures.append(deep)
            raise RuntimeError("broken")
        return real(finder, deep)

    monkeypatch.setattr(Finder, "look", look)
    drive.policy = POLICY._replace(resync_ns=20 * NS_PER_MS)
    drive.sweeper.all_anew(Reason.LOAD, monotonic_ns())
    drive.until(lambda: drive.errors)
    assert not drive.sweeper.whole, "nothing has been looked into yet"
    drive.until(lambda: drive.memory.spaces and value_in(path) == "63", timeout_s=3)
    assert drive.memory.tally.writes == {"load": 1}
    count = len(drive.guard.visits)
    drive.until(lambda: len(drive.guard.visits) > count, "no further sweep", timeout_s=3)
    drive.policy = POLICY


def test_a_look_that_hangs_is_made_again(holders, drive, monkeypatch):
    path, real, release, hangs = holders.mount(), Finder.look, threading.Event(), []

    def look(finder, deep):
        if not hangs:
            hangs.append(threading.current_thread())
            release.wait()
        return real(finder, deep)

    monkeypatch.setattr(Finder, "look", look)
    monkeypatch.setattr(sweep, "LOOK_LIMIT_NS", 50 * NS_PER_MS)
    drive.policy = POLICY._replace(resync_ns=20 * NS_PER_MS)
    drive.sweeper.all_anew(Reason.LOAD, monotonic_ns())
    try:
        drive.until(lambda: drive.hung)
        monkeypatch.setattr(sweep, "LOOK_LIMIT_NS", 60 * NS_PER_S)
        assert drive.hung == ["looking for namespaces"]
        assert not drive.sweeper.whole, "nothing has been looked into yet"
        drive.until(lambda: drive.memory.spaces and value_in(path) == "63", timeout_s=3)
        count = len(drive.guard.visits)
        drive.until(lambda: len(drive.guard.visits) > count, "no further sweep", timeout_s=3)
    finally:
        release.set()
        hangs[0].join(TIMEOUT_S)


def test_a_visit_that_hangs_is_given_up_and_the_others_are_made(holders, drive, monkeypatch):
    paths = [holders.mount(str(number)) for number in range(4)]
    release, hangs = threading.Event(), []

    def at_visit(target):
        if len(drive.guard.visits) == 2 and not hangs:
            hangs.append((target.namespace, threading.current_thread()))
            release.wait()

    drive.guard.at_visit = at_visit
    monkeypatch.setattr(sweep, "VISITS_LIMIT_NS", 100 * NS_PER_MS)
    drive.sweeper.all_anew(Reason.START, None)
    try:
        drive.until(lambda: drive.hung)
        monkeypatch.setattr(sweep, "VISITS_LIMIT_NS", 60 * NS_PER_S)
        namespace, thread = hangs[0]
        assert drive.hung == [f"entering {namespace} through {drive.guard.visits[1].paths[0]}"]
        drive.until_idle()
        rest = {identity(path) for path in paths} - {namespace.identity}
        assert rest <= set(drive.visited())
        drive.guard.visits = []
        drive.sweep(Reason.RESYNC)
        assert set(drive.visited()) == rest, "it is not tried again"
    finally:
        release.set()
        hangs[0][1].join(TIMEOUT_S)
    assert not drive.errors


def test_visits_that_end_just_now_do_not_hang(holders, drive, monkeypatch):
    """However late the loop comes to see it: it may have been stopped meanwhile."""
    path = holders.mount()
    drive.sweep()
    told_ns = drive.load()
    monkeypatch.setattr(sweep, "VISITS_LIMIT_NS", 0)
    drive.sweeper.all_anew(Reason.LOAD, told_ns)
    drive.sweeper.proceed(drive.policy, drive.memory, True)
    select.select([drive.sweeper.fileno()], [], [], TIMEOUT_S)
    assert drive.sweeper.give_up_what_hangs() == ""
    monkeypatch.undo()
    drive.until_idle()
    assert value_in(path) == "63" and drive.memory.tally.writes == {"start": 1, "load": 1}


def test_a_visit_that_raises_is_told_and_the_next_sweep_works(holders, drive):
    path = holders.mount()

    def at_visit(_target):
        if len(drive.guard.visits) == 1:
            raise RuntimeError("broken")

    drive.guard.at_visit = at_visit
    drive.sweep()
    assert len(drive.errors) == 1
    drive.sweep(Reason.RESYNC)
    assert value_in(path) == "63"


def left_as_it_is(drive, state, wait_ns):
    """Let every first visit leave the value as it is on purpose, for a while."""
    real = drive.guard.visit

    def visit(policy, target, dry=False):
        seen = real(policy, target, True)
        if len(drive.guard.visits) > 1:
            return real(policy, target, dry)
        keys = (KeyStatus(STAND_IN, state, "64"),)
        return seen._replace(keys=keys, outcomes=(), again_ns=monotonic_ns() + wait_ns)

    drive.guard.visit = visit


@pytest.mark.parametrize("cookies", [True, False])
@pytest.mark.parametrize("state", [State.HELD, State.CONTESTED])
def test_what_is_left_as_it_is_is_looked_at_again_for_the_same_reason(
    holders, drive, state, cookies
):
    """Also on kernels without cookies, where a new holder may mean another namespace."""
    path = holders.mount()
    drive.sweep()
    drive.set_back([path], identity(path))
    drive.guard.visits = []
    left_as_it_is(drive, state, 30 * NS_PER_MS)
    if not cookies:
        spaces = {key: space._replace(cookie=None) for key, space in drive.memory.spaces.items()}
        drive.memory = drive.memory._replace(spaces=spaces)
    drive.sweep(Reason.RESYNC)
    drive.until(lambda: value_in(path) == "63")
    reasons = {target.reason for target in drive.guard.visits}
    assert reasons == {Reason.RESYNC}, "and not a birth"
    assert all(target.known is not None for target in drive.guard.visits)


def test_paused_it_does_nothing_until_all_is_looked_at_anew(holders, drive):
    holders.mount()
    drive.sweep()
    drive.sweeper.pause()
    assert drive.sweeper.deadline_ns() is None
    drive.guard.visits = []
    drive.turn()
    assert drive.guard.visits == [] and drive.sweeper.idle
    drive.sweep(Reason.LOAD)
    assert drive.guard.visits


def test_paused_in_the_middle_of_a_sweep_it_visits_nothing_more(holders, drive, monkeypatch):
    monkeypatch.setattr(sweep, "VISITS_A_JOB", 1)
    for number in range(4):
        holders.mount(str(number))
    drive.guard.at_visit = lambda _target: drive.sweeper.pause()
    drive.sweeper.all_anew(Reason.START, None)
    drive.until(lambda: drive.guard.visits and drive.sweeper.idle)
    drive.turn()
    assert len(drive.guard.visits) == 1


def test_paused_in_the_middle_of_a_look_it_visits_nothing(holders, drive):
    holders.mount()
    drive.sweeper.all_anew(Reason.START, None)
    drive.turn()
    drive.sweeper.pause()
    drive.until(lambda: drive.sweeper.idle)
    drive.turn()
    assert drive.guard.visits == [] and drive.sweeper.idle
