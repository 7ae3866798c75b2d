"""The scanner with a real enforcer, in real namespaces, on a stand-in sysctl."""

import select
import threading
import time

import pytest

from ipvsd.daemon import scanner, visit_queue
from ipvsd.daemon.scan_schedule import FULL_SHARE, QUICK_SHARE
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.model import NS_PER_MS, NS_PER_S, KeyStatus, Reason, State
from ipvsd.system.event_loop import monotonic_ns
from tests.namespaces.drive import POLICY, Drive, value_in
from tests.namespaces.holders import TIMEOUT_S, identity
from tests.namespaces.stand_in import STAND_IN, read


@pytest.fixture
def drive(holders):
    made = Drive(holders)
    yield made
    made.scanner.close()


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
    drive.full_scan()
    assert [value_in(path) for path in paths] == ["63"] * 5
    assert read() == here
    assert drive.memory.tally.writes == {"start": 5}
    assert {ns_state.keys[0].state for ns_state in drive.memory.namespaces.values()} == {
        State.AS_WANTED
    }
    assert drive.scanner.scan_complete and drive.scanner.idle


def test_the_first_full_scan_visits_each_namespace_once(holders, drive):
    meant = [identity(holders.mount(str(number))) for number in range(3)]
    drive.full_scan()
    assert sorted(one for one in drive.visited() if one in meant) == sorted(meant)


def thread_cpu_s():
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)  # time.thread_time() of Python 3.6


@pytest.mark.parametrize("reason", [Reason.START, Reason.LOAD, Reason.RESYNC])
def test_the_next_full_scan_waits_so_that_scans_take_a_small_share_of_the_time(
    holders, drive, reason
):
    new = identity(holders.mount())

    def at_visit(target):
        if target.namespace.identity == new:
            until_s = thread_cpu_s() + 0.2
            while thread_cpu_s() < until_s:
                pass

    if reason is not Reason.START:
        drive.full_scan()  # then all are known
    drive.enforcer.at_visit = at_visit
    drive.policy = POLICY._replace(resync_ns=1)
    before = drive.visited().count(new)
    drive.full_scan(reason)
    assert drive.visited().count(new) == before + 1
    assert drive.scanner.deadline_ns() > monotonic_ns() + 0.2 * (FULL_SHARE - 5) * NS_PER_S


def test_describing_does_not_delay_the_next_scan(holders, drive, monkeypatch):
    describe = NamespaceFinder.describe

    def slow(self, *what):
        time.sleep(0.5)
        return describe(self, *what)

    monkeypatch.setattr(NamespaceFinder, "describe", slow)
    holders.process()
    drive.full_scan()
    assert (
        drive.scanner._progress.schedule.quick_after_ns
        < monotonic_ns() + QUICK_SHARE * NS_PER_S // 2
    )


def test_a_second_full_scan_writes_nothing(holders, drive):
    holders.mount()
    drive.full_scan()
    drive.new_events = []
    drive.full_scan(Reason.RESYNC)
    assert drive.new_events == [] and drive.memory.tally.writes == {"start": 1}


def test_a_birth_that_is_reported_is_found_and_reported_with_its_reaction_time(holders, drive):
    drive.full_scan()
    path = holders.mount()
    drive.scanner.expect_births(1, monotonic_ns())
    drive.until(lambda: drive.new_events)
    assert value_in(path) == "63"
    assert drive.new_events[0].fields["IPVSD_REASON"] == "birth"
    assert int(drive.new_events[0].fields["IPVSD_REACTION_USEC"]) < TIMEOUT_S * 10**6
    drive.until_idle()
    assert len(drive.enforcer.visits) == 1


def test_a_birth_reported_while_a_scan_is_under_way_keeps_its_reaction_time(
    holders, drive, monkeypatch
):
    drive.full_scan()
    real, began, reported = NamespaceFinder.scan, threading.Event(), threading.Event()

    def scan(finder, deep):
        began.set()
        reported.wait(TIMEOUT_S)
        return real(finder, deep)

    monkeypatch.setattr(NamespaceFinder, "scan", scan)
    holders.mount()
    drive.scanner.expect_births()  # its mount is seen before its birth is reported
    drive.until(began.is_set)
    drive.scanner.expect_births(1, monotonic_ns())
    reported.set()
    drive.until(lambda: drive.new_events)
    assert int(drive.new_events[0].fields["IPVSD_REACTION_USEC"]) < TIMEOUT_S * 10**6


def test_a_birth_that_is_not_reported_is_found_within_a_second_or_so(holders, drive):
    drive.births_reported = False
    drive.full_scan()
    path = holders.mount()
    drive.until(lambda: drive.new_events)
    assert value_in(path) == "63" and drive.new_events[0].fields["IPVSD_REASON"] == "birth"
    assert "IPVSD_REACTION_USEC" not in drive.new_events[0].fields


def test_a_namespace_that_only_a_deep_scan_finds_is_found_by_its_birth(holders, drive):
    drive.full_scan()
    _, path, _ = holders.descriptor()
    drive.scanner.expect_births(1, monotonic_ns())
    drive.until(lambda: drive.new_events)
    assert value_in(path) == "63"


def test_a_load_is_reported_as_a_load_everywhere(holders, drive):
    holders.mount("a"), holders.mount("b")
    drive.full_scan()
    event_ns = drive.load()
    drive.full_scan(Reason.LOAD, event_ns)
    assert [event.fields["IPVSD_REASON"] for event in drive.new_events] == ["load", "load"]
    assert all("IPVSD_REACTION_USEC" in event.fields for event in drive.new_events)


def test_a_namespace_that_is_removed_is_forgotten(holders, drive):
    child, _ = holders.process()
    drive.full_scan()
    assert len(drive.memory.namespaces) == 1
    holders.end(child)
    drive.full_scan(Reason.RESYNC)
    assert drive.memory.namespaces == {}


def estimators(drive, counts):
    """Have each later visit return so many estimators for each namespace."""
    real = drive.enforcer.visit

    def visit(policy, target, dry=False):
        seen = real(policy, target, dry)
        return seen._replace(estimators=counts.get(target.namespace.identity, 0))

    drive.enforcer.visit = visit


def test_a_full_scan_begins_with_the_namespaces_that_have_the_most_estimators(holders, drive):
    few, most, some = (identity(holders.mount(name)) for name in "abc")
    estimators(drive, {few: 1, most: 900, some: 30})
    drive.full_scan()
    event_ns = drive.load()
    drive.full_scan(Reason.LOAD, event_ns)
    assert drive.visited()[:3] == [most, some, few]


def test_a_new_namespace_does_not_wait_for_the_end_of_a_full_scan(holders, drive, monkeypatch):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    known = [identity(holders.mount(str(number))) for number in range(6)]
    drive.full_scan()
    drive.enforcer.visits = []
    born = []

    def at_visit(_target):
        if not born:
            born.append(identity(holders.mount("new")))
            drive.scanner.expect_births(1, monotonic_ns())

    drive.enforcer.at_visit = at_visit
    drive.full_scan(Reason.RESYNC)
    order = drive.visited()
    assert set(known) < set(order)
    assert order.index(born[0]) <= 2


def test_a_namespace_that_a_full_scan_finds_new_is_visited_first(holders, drive, monkeypatch):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    for number in range(6):
        holders.mount(str(number))
    drive.full_scan()
    drive.enforcer.visits = []
    new = identity(holders.mount("new"))
    drive.scanner.rescan_all(Reason.RESYNC, None)
    drive.until_idle()
    assert drive.visited()[0] == new


def test_after_a_load_what_is_known_is_set_before_anything_hidden_is_searched_for(
    holders, drive, monkeypatch
):
    """A deep scan takes seconds with many processes, and the values must not wait for it."""
    holders.mount("a"), holders.mount("b")
    drive.full_scan()
    event_ns = drive.load()
    order = []
    real = NamespaceFinder.scan

    def scan(finder, deep):
        order.append("deep" if deep else "quick")
        return real(finder, deep)

    monkeypatch.setattr(NamespaceFinder, "scan", scan)
    drive.enforcer.at_visit = lambda _target: order.append("visit")
    drive.full_scan(Reason.LOAD, event_ns)
    assert order == ["visit", "visit", "quick", "deep"]


def test_after_a_load_what_is_new_or_was_replaced_is_set_too(holders, drive, monkeypatch):
    """Known namespaces are visited without a scan; then a scan finds only the new ones."""
    known = identity(holders.mount("known"))
    drive.full_scan()
    event_ns = drive.load()
    new = holders.mount("new")
    drive.full_scan(Reason.LOAD, event_ns)
    assert drive.visited() == [known, identity(new)]
    assert value_in(new) == "63"
    drive.enforcer.visits = []
    drive.full_scan(Reason.RESYNC)
    assert sorted(drive.visited()) == sorted([known, identity(new)])


def test_a_visit_from_before_the_load_does_not_count(holders, drive):
    """When the visit is reported, the load has reset the value."""
    path = holders.mount()
    drive.full_scan()
    real, loads = drive.enforcer.visit, []

    def visit(policy, target, dry=False):
        seen = real(policy, target, dry)
        if not loads:
            loads.append(drive.load())
            drive.scanner.rescan_all(Reason.LOAD, loads[0])
        return seen

    drive.enforcer.visit = visit
    drive.full_scan(Reason.RESYNC)
    assert value_in(path) == "63"


def test_a_full_scan_that_takes_longer_than_its_period_ends(holders, drive, monkeypatch):
    """Otherwise the last namespaces would never be visited."""
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    meant = {identity(holders.mount(str(number))) for number in range(5)}
    drive.policy = POLICY._replace(resync_ns=1)
    drive.scanner.rescan_all(Reason.START, None)
    drive.until(lambda: drive.scanner.scan_complete, "the full scan never ends", timeout_s=3)
    assert meant <= set(drive.visited())
    drive.policy = POLICY
    drive.until_idle()


def test_a_scan_that_fails_is_made_again(holders, drive, monkeypatch):
    """A defect or a lack of descriptors must not end the periodic scans for good."""
    path, real, failures = holders.mount(), NamespaceFinder.scan, []

    def scan(finder, deep):
        if not failures:
            failures.append(deep)
            raise RuntimeError("broken")
        return real(finder, deep)

    monkeypatch.setattr(NamespaceFinder, "scan", scan)
    drive.policy = POLICY._replace(resync_ns=20 * NS_PER_MS)
    drive.scanner.rescan_all(Reason.LOAD, monotonic_ns())
    drive.until(lambda: drive.errors)
    assert not drive.scanner.scan_complete, "no namespace has been visited yet"
    drive.until(lambda: drive.memory.namespaces and value_in(path) == "63", timeout_s=3)
    assert drive.memory.tally.writes == {"load": 1}
    count = len(drive.enforcer.visits)
    drive.until(lambda: len(drive.enforcer.visits) > count, "no further full scan", timeout_s=3)
    drive.policy = POLICY


def test_a_scan_that_hangs_is_made_again(holders, drive, monkeypatch):
    path, real, release, hangs = holders.mount(), NamespaceFinder.scan, threading.Event(), []

    def scan(finder, deep):
        if not hangs:
            hangs.append(threading.current_thread())
            release.wait()
        return real(finder, deep)

    monkeypatch.setattr(NamespaceFinder, "scan", scan)
    monkeypatch.setattr(scanner, "SCAN_LIMIT_NS", 50 * NS_PER_MS)
    drive.policy = POLICY._replace(resync_ns=20 * NS_PER_MS)
    drive.scanner.rescan_all(Reason.LOAD, monotonic_ns())
    try:
        drive.until(lambda: drive.hung)
        monkeypatch.setattr(scanner, "SCAN_LIMIT_NS", 60 * NS_PER_S)
        assert drive.hung == ["scanning for namespaces"]
        assert not drive.scanner.scan_complete, "no namespace has been visited yet"
        drive.until(lambda: drive.memory.namespaces and value_in(path) == "63", timeout_s=3)
        count = len(drive.enforcer.visits)
        drive.until(lambda: len(drive.enforcer.visits) > count, "no further full scan", timeout_s=3)
    finally:
        release.set()
        hangs[0].join(TIMEOUT_S)


def test_a_visit_that_hangs_is_given_up_and_the_others_are_made(holders, drive, monkeypatch):
    paths = [holders.mount(str(number)) for number in range(4)]
    release, hangs = threading.Event(), []

    def at_visit(target):
        if len(drive.enforcer.visits) == 2 and not hangs:
            hangs.append((target.namespace, threading.current_thread()))
            release.wait()

    drive.enforcer.at_visit = at_visit
    monkeypatch.setattr(scanner, "VISITS_LIMIT_NS", 100 * NS_PER_MS)
    drive.scanner.rescan_all(Reason.START, None)
    try:
        drive.until(lambda: drive.hung)
        monkeypatch.setattr(scanner, "VISITS_LIMIT_NS", 60 * NS_PER_S)
        namespace, thread = hangs[0]
        assert drive.hung == [f"entering {namespace} through {drive.enforcer.visits[1].paths[0]}"]
        drive.until_idle()
        rest = {identity(path) for path in paths} - {namespace.identity}
        assert rest <= set(drive.visited())
        drive.enforcer.visits = []
        drive.full_scan(Reason.RESYNC)
        assert set(drive.visited()) == rest, "what hangs is not tried again"
    finally:
        release.set()
        hangs[0][1].join(TIMEOUT_S)
    assert not drive.errors


def test_visits_that_end_just_now_do_not_hang(holders, drive, monkeypatch):
    """Visits that have ended do not hang, however late the loop sees their end."""
    path = holders.mount()
    drive.full_scan()
    event_ns = drive.load()
    monkeypatch.setattr(scanner, "VISITS_LIMIT_NS", 0)
    drive.scanner.rescan_all(Reason.LOAD, event_ns)
    drive.scanner.proceed(drive.policy, drive.memory, True)
    select.select([drive.scanner.fileno()], [], [], TIMEOUT_S)
    assert drive.scanner.give_up_what_hangs() == ""
    monkeypatch.undo()
    drive.until_idle()
    assert value_in(path) == "63" and drive.memory.tally.writes == {"start": 1, "load": 1}


def test_a_visit_that_raises_is_reported_and_the_next_full_scan_works(holders, drive):
    path = holders.mount()

    def at_visit(_target):
        if len(drive.enforcer.visits) == 1:
            raise RuntimeError("broken")

    drive.enforcer.at_visit = at_visit
    drive.full_scan()
    assert len(drive.errors) == 1
    drive.full_scan(Reason.RESYNC)
    assert value_in(path) == "63"


def restrain_first_visit(drive, state, wait_ns):
    """Have the first visit leave the value as it is, for `wait_ns`."""
    real = drive.enforcer.visit

    def visit(policy, target, dry=False):
        seen = real(policy, target, True)
        if len(drive.enforcer.visits) > 1:
            return real(policy, target, dry)
        keys = (KeyStatus(STAND_IN, state, "64"),)
        return seen._replace(keys=keys, outcomes=(), retry_at_ns=monotonic_ns() + wait_ns)

    drive.enforcer.visit = visit


@pytest.mark.parametrize("cookies", [True, False])
@pytest.mark.parametrize("state", [State.HELD, State.CONTESTED])
def test_a_restrained_value_is_checked_again_for_the_same_reason(holders, drive, state, cookies):
    """Without cookies too, where a new holder may mean another namespace."""
    path = holders.mount()
    drive.full_scan()
    drive.set_back([path], identity(path))
    drive.enforcer.visits = []
    restrain_first_visit(drive, state, 30 * NS_PER_MS)
    if not cookies:
        namespaces = {
            key: ns_state._replace(cookie=None) for key, ns_state in drive.memory.namespaces.items()
        }
        drive.memory = drive.memory._replace(namespaces=namespaces)
    drive.full_scan(Reason.RESYNC)
    drive.until(lambda: value_in(path) == "63")
    reasons = {target.reason for target in drive.enforcer.visits}
    assert reasons == {Reason.RESYNC}, "it is no birth"
    assert all(target.known is not None for target in drive.enforcer.visits)


def test_a_paused_scanner_does_nothing_until_everything_is_rescanned(holders, drive):
    holders.mount()
    drive.full_scan()
    drive.scanner.pause()
    assert drive.scanner.deadline_ns() is None
    drive.enforcer.visits = []
    drive.cycle()
    assert drive.enforcer.visits == [] and drive.scanner.idle
    drive.full_scan(Reason.LOAD)
    assert drive.enforcer.visits


def test_a_scanner_paused_in_a_full_scan_visits_nothing_more(holders, drive, monkeypatch):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    for number in range(4):
        holders.mount(str(number))
    drive.enforcer.at_visit = lambda _target: drive.scanner.pause()
    drive.scanner.rescan_all(Reason.START, None)
    drive.until(lambda: drive.enforcer.visits and drive.scanner.idle)
    drive.cycle()
    assert len(drive.enforcer.visits) == 1


def test_a_scanner_paused_in_a_scan_visits_nothing(holders, drive):
    holders.mount()
    drive.scanner.rescan_all(Reason.START, None)
    drive.cycle()
    drive.scanner.pause()
    drive.until(lambda: drive.scanner.idle)
    drive.cycle()
    assert drive.enforcer.visits == [] and drive.scanner.idle
