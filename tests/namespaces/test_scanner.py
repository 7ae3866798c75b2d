"""The scanner with a real enforcer, in real namespaces, on a stand-in sysctl."""

import os
import signal
import time

import pytest

from ipvsd.daemon import hang_watch, put_aside, scan_schedule, visit_queue
from ipvsd.daemon.scan_schedule import FULL_SHARE
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.model import NS_PER_MS, NS_PER_S, KeyStatus, Reason, State
from ipvsd.system.event_loop import monotonic_ns
from tests.namespaces.drive import POLICY, Drive, set_back, value_in
from tests.namespaces.holders import TIMEOUT_S, identity
from tests.namespaces.stand_in import STAND_IN, read


@pytest.fixture
def drive(holders):
    made = Drive(holders)
    yield made
    made.scanner.worker.close()


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


@pytest.mark.parametrize("reason", [Reason.START, Reason.LOAD, Reason.RESYNC])
def test_the_next_full_scan_waits_so_that_scans_take_a_small_share_of_the_time(
    holders, drive, reason
):
    new = identity(holders.mount())

    def at_visit(target):
        if target.namespace.identity == new:
            until_s = time.process_time() + 0.2
            while time.process_time() < until_s:
                pass

    if reason is not Reason.START:
        drive.full_scan()  # then all are known
    drive.enforcer.at_visit = at_visit
    drive.fork_again()
    drive.policy = POLICY._replace(resync_ns=1)
    before = drive.visited().count(new)
    drive.full_scan(reason)
    # After a load it is visited at once, and by a new process, which takes it for new, again.
    assert before < drive.visited().count(new) <= before + 2
    assert drive.scanner.deadline_ns() > monotonic_ns() + 0.2 * (FULL_SHARE - 5) * NS_PER_S


def test_a_second_full_scan_writes_nothing(holders, drive):
    holders.mount()
    drive.full_scan()
    drive.new_events = []
    drive.full_scan(Reason.RESYNC)
    assert drive.new_events == [] and drive.memory.tally.writes == {"start": 1}


def test_a_birth_that_is_reported_is_found_and_reported_with_its_reaction_time(holders, drive):
    drive.full_scan()
    path = holders.mount()
    drive.expect_births(1, monotonic_ns())
    drive.until(lambda: drive.new_events)
    assert value_in(path) == "63"
    assert drive.new_events[0].fields["IPVSD_REASON"] == "birth"
    assert int(drive.new_events[0].fields["IPVSD_REACTION_USEC"]) < TIMEOUT_S * 10**6
    drive.until_idle()
    assert len(drive.results) == 1


def test_a_birth_reported_while_a_scan_is_under_way_keeps_its_reaction_time(holders, drive):
    drive.full_scan()
    holders.mount()
    drive.expect_births()  # its mount is seen before its birth is reported
    drive.cycle()
    assert drive.scanner.worker.busy
    drive.expect_births(1, monotonic_ns())
    drive.until(lambda: drive.new_events)
    assert int(drive.new_events[0].fields["IPVSD_REACTION_USEC"]) < TIMEOUT_S * 10**6


def test_a_birth_that_is_not_reported_is_found_within_a_second_or_so(holders, drive):
    drive.births_reported = False
    drive.full_scan()
    path = holders.mount()
    drive.until(lambda: drive.new_events)
    assert value_in(path) == "63" and drive.new_events[0].fields["IPVSD_REASON"] == "birth"
    assert "IPVSD_REACTION_USEC" not in drive.new_events[0].fields


def test_a_namespace_that_only_a_search_finds_is_found_by_its_birth(holders, drive):
    drive.full_scan()
    _, path, _ = holders.descriptor()
    drive.expect_births(1, monotonic_ns())
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
    drive.enforcer.change_result = lambda result: result._replace(
        estimators=counts.get(result.namespace.identity, 0)
    )


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
    drive.results = []
    drive.scanner.rescan_all(Reason.RESYNC, None)
    drive.until(lambda: len(drive.scanner.visits.rest) == 5)
    born = identity(holders.mount("new"))
    drive.expect_births(1, monotonic_ns())
    drive.until_idle()
    order = drive.visited()
    assert set(known) < set(order)
    assert order.index(born) <= 2


def test_a_namespace_that_a_full_scan_finds_new_is_visited_first(holders, drive, monkeypatch):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    for number in range(6):
        holders.mount(str(number))
    drive.full_scan()
    drive.results = []
    new = identity(holders.mount("new"))
    drive.scanner.rescan_all(Reason.RESYNC, None)
    drive.until_idle()
    assert drive.visited()[0] == new


def jobs(drive, monkeypatch):
    """Return a list that grows with the kinds of jobs that the worker gets."""
    done, begin = [], drive.scanner.worker.submit

    def submit(job, *rest):
        done.append(type(job).__name__)
        return begin(job, *rest)

    monkeypatch.setattr(drive.scanner.worker, "submit", submit)
    return done


def test_after_a_load_what_is_known_is_set_before_anything_is_searched_for(
    holders, drive, monkeypatch
):
    """A search takes seconds with many processes, and the values must not wait for it."""
    holders.mount("a"), holders.mount("b")
    drive.full_scan()
    event_ns, done = drive.load(), jobs(drive, monkeypatch)
    drive.full_scan(Reason.LOAD, event_ns)
    assert done[:2] == ["Visit", "Scan"] and set(done[2:]) == {"Search"}


def test_after_a_load_all_is_written_before_anything_is_recorded(holders, drive, monkeypatch):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    paths = [holders.mount(str(number)) for number in range(5)]
    drive.full_scan()
    event_ns, recorded = drive.load(), []
    drive.scanner.rescan_all(Reason.LOAD, event_ns)

    def all_written():
        recorded.append(len(drive.results))
        return not drive.scanner.visiting

    drive.until(all_written)
    assert set(recorded[:-1]) == {0}, "something was recorded while values were waiting"
    assert [value_in(path) for path in paths] == ["63"] * 5
    drive.until_idle()
    assert drive.memory.tally.writes == {"start": 5, "load": 5}


def test_after_a_load_what_is_new_or_was_replaced_is_set_too(holders, drive, monkeypatch):
    """Known namespaces are visited without a scan; then a scan finds only the new ones."""
    known = identity(holders.mount("known"))
    drive.full_scan()
    event_ns = drive.load()
    new = holders.mount("new")
    drive.full_scan(Reason.LOAD, event_ns)
    assert drive.visited() == [known, identity(new)]
    assert value_in(new) == "63"
    drive.results = []
    drive.full_scan(Reason.RESYNC)
    assert sorted(drive.visited()) == sorted([known, identity(new)])


def test_a_visit_from_before_the_load_does_not_count(holders, drive):
    """When the visit is reported, the load has reset the value."""
    path = holders.mount()
    drive.full_scan()
    drive.scanner.rescan_all(Reason.RESYNC, None)
    drive.until(lambda: drive.scanner.visiting and drive.scanner.worker.busy)
    drive.wait()  # the visit has ended, and nobody has taken its result
    event_ns = drive.load()
    drive.full_scan(Reason.LOAD, event_ns)
    assert value_in(path) == "63"


def test_a_full_scan_that_takes_longer_than_its_period_ends(holders, drive, monkeypatch):
    """Otherwise the last namespaces would never be visited."""
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    meant = {identity(holders.mount(str(number))) for number in range(5)}
    drive.policy = POLICY._replace(resync_ns=1)
    drive.scanner.rescan_all(Reason.START, None)
    drive.until(lambda: drive.scanner.scan_complete, "the full scan never ends", timeout_s=3)
    drive.until(lambda: not drive.scanner._kept)
    assert meant <= set(drive.visited())
    drive.policy = POLICY
    drive.until_idle()


@pytest.fixture
def once(tmp_path):
    """Return a function that is true once, in whichever process it is called first."""
    path = tmp_path / "once"

    def first():
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    return first


def test_a_scan_that_fails_is_made_again(holders, drive, monkeypatch, once):
    """A defect or a lack of descriptors must not end the periodic scans for good."""
    path, real = holders.mount(), NamespaceFinder.scan

    def scan(finder):
        if once():
            raise RuntimeError("broken")
        return real(finder)

    monkeypatch.setattr(NamespaceFinder, "scan", scan)
    monkeypatch.setattr(scan_schedule, "AGAIN_NS", 20 * NS_PER_MS)
    drive.policy = POLICY._replace(resync_ns=20 * NS_PER_MS)
    drive.scanner.rescan_all(Reason.LOAD, monotonic_ns())
    drive.until(lambda: drive.errors)
    assert "broken" in str(drive.errors[0]) and " at test_scanner.py:" in str(drive.errors[0])
    assert not drive.scanner.scan_complete, "no namespace has been visited yet"
    drive.until(lambda: drive.memory.namespaces and value_in(path) == "63", timeout_s=3)
    assert drive.memory.tally.writes == {"load": 1}
    count = len(drive.results)
    drive.until(lambda: len(drive.results) > count, "no further full scan", timeout_s=3)
    drive.policy = POLICY


def impatient(monkeypatch):
    """Have a job hang after a fraction of a second."""
    monkeypatch.setattr(hang_watch, "LOOK_NS", 20 * NS_PER_MS)
    monkeypatch.setattr(put_aside, "WAIT_MIN_NS", 100 * NS_PER_MS)
    monkeypatch.setattr("ipvsd.daemon.namespace_worker.WARY_MIN_NS", 100 * NS_PER_MS)


def hang():
    reader, _writer = os.pipe()
    os.read(reader, 1)


def test_a_scan_that_hangs_is_made_again(holders, drive, monkeypatch, once):
    path, real = holders.mount(), NamespaceFinder.scan

    def scan(finder):
        if once():
            hang()
        return real(finder)

    monkeypatch.setattr(NamespaceFinder, "scan", scan)
    monkeypatch.setattr(scan_schedule, "AGAIN_NS", 20 * NS_PER_MS)
    impatient(monkeypatch)
    drive.policy = POLICY._replace(resync_ns=20 * NS_PER_MS)
    drive.scanner.rescan_all(Reason.LOAD, monotonic_ns())
    drive.until(lambda: drive.hung)
    (hung,) = drive.hung
    assert hung.startswith("scanning for namespaces")
    assert not drive.scanner.scan_complete, "no namespace has been visited yet"
    drive.until(lambda: drive.memory.namespaces and value_in(path) == "63", timeout_s=3)
    count = len(drive.results)
    drive.until(lambda: len(drive.results) > count, "no further full scan", timeout_s=3)
    drive.policy = POLICY


def test_a_visit_that_hangs_is_given_up_and_tried_again_later(holders, drive, monkeypatch, once):
    paths = [holders.mount(str(number)) for number in range(4)]
    meant = identity(paths[2])

    def at_visit(target):
        if target.namespace.identity == meant and once():
            hang()

    drive.enforcer.at_visit = at_visit
    impatient(monkeypatch)
    drive.scanner.rescan_all(Reason.START, None)
    drive.until(lambda: drive.hung)
    namespace, paths_into = drive.scanner.visits.places[meant][:2]
    assert drive.hung == [f"entering {namespace} through {paths_into[0]}"]
    assert drive.scanner.visits.barred_count(wary=False) == 1
    drive.until_idle()
    assert {identity(path) for path in paths} - {meant} <= set(drive.visited())
    drive.until(lambda: value_in(paths[2]) == "63", "it is never visited again")
    drive.until(lambda: meant in drive.memory.namespaces)
    assert drive.scanner.visits.barred_count(wary=False) == 0
    assert not drive.errors and len(drive.hung) == 1


def test_what_hangs_for_ever_is_tried_ever_more_rarely_and_after_every_load(
    holders, drive, monkeypatch
):
    path = holders.mount()
    drive.full_scan()
    set_back([path], identity(path))
    drive.enforcer.at_visit = lambda _target: hang()
    drive.fork_again()
    impatient(monkeypatch)
    monkeypatch.setattr(put_aside, "WAIT_MIN_NS", 3600 * NS_PER_S)
    monkeypatch.setattr(put_aside, "WAIT_MAX_NS", 3600 * NS_PER_S)
    for tried in (1, 2):
        drive.scanner.rescan_all(Reason.LOAD, monotonic_ns())
        drive.until(lambda count=tried: len(drive.hung) == count)
        drive.until_idle()
    drive.full_scan(Reason.RESYNC)
    assert len(drive.hung) == 3, "somebody demands it"
    drive.scanner.schedule.full_ns = monotonic_ns()
    drive.until(lambda: drive.scanner.schedule.full_ns > monotonic_ns() + NS_PER_S)
    drive.until_idle()
    assert len(drive.hung) == 3, "a routine scan leaves it aside"


def test_a_worker_that_is_stopped_blames_no_namespace(holders, drive, monkeypatch):
    """kill -STOP, a debugger, a frozen cgroup: whoever is being visited is innocent."""
    path = holders.mount()
    drive.full_scan()
    event_ns = drive.load()
    impatient(monkeypatch)
    os.kill(drive.scanner.worker.process.pid, signal.SIGSTOP)
    drive.scanner.rescan_all(Reason.LOAD, event_ns)
    drive.until(lambda: drive.hung, "it is never replaced")
    drive.until(lambda: value_in(path) == "63")
    assert drive.scanner.visits.barred_count(wary=False) == 0


def test_a_pause_of_the_machine_blames_nobody(holders, drive):
    """Both processes stop; afterwards the clock has gone on, and no look was missed."""
    path = holders.mount()
    drive.full_scan()
    event_ns = drive.load()
    worker = drive.scanner.worker
    drive.scanner.rescan_all(Reason.LOAD, event_ns)
    drive.scanner.proceed(drive.policy, drive.memory, True)
    worker._watch.next_ns -= 3600 * NS_PER_S  # as if an hour had passed meanwhile
    assert drive.scanner.give_up_what_hangs() == ""
    drive.until_idle()
    assert value_in(path) == "63" and drive.hung == []


def test_visits_that_end_just_now_do_not_hang(holders, drive, monkeypatch):
    """Visits that have ended do not hang, however late the loop sees their end."""
    path = holders.mount()
    drive.full_scan()
    event_ns = drive.load()
    monkeypatch.setattr(hang_watch, "LOOKS_MAX", 0)
    drive.scanner.rescan_all(Reason.LOAD, event_ns)
    drive.scanner.proceed(drive.policy, drive.memory, True)
    drive.wait()
    drive.until_idle()
    assert drive.hung == []
    assert value_in(path) == "63" and drive.memory.tally.writes == {"start": 1, "load": 1}


def test_a_worker_that_is_killed_is_replaced(holders, drive):
    path = holders.mount()
    drive.full_scan()
    event_ns = drive.load()
    os.kill(drive.scanner.worker.process.pid, signal.SIGKILL)
    drive.full_scan(Reason.LOAD, event_ns)
    drive.until(lambda: drive.errors)
    drive.scanner.rescan_all(Reason.LOAD, event_ns)
    drive.until_idle()
    assert value_in(path) == "63"


def test_a_visit_that_raises_is_reported_and_the_next_full_scan_works(holders, drive, once):
    path = holders.mount()

    def at_visit(_target):
        if once():
            raise RuntimeError("broken")

    drive.enforcer.at_visit = at_visit
    drive.full_scan()
    assert len(drive.errors) == 1
    drive.full_scan(Reason.RESYNC)
    assert value_in(path) == "63"


def restrain_first_visit(drive, state, wait_ns, once):
    """Have the first visit leave the value as it is, for `wait_ns`."""

    def visit(policy, target, dry=False):
        if not once():
            return real(policy, target, dry)
        seen = real(policy, target, True)
        keys = (KeyStatus(STAND_IN, state, "64"),)
        return seen._replace(keys=keys, outcomes=(), retry_at_ns=monotonic_ns() + wait_ns)

    real = drive.enforcer.visit
    drive.enforcer.visit = visit
    drive.fork_again()


@pytest.mark.parametrize("cookies", [True, False])
@pytest.mark.parametrize("state", [State.HELD, State.CONTESTED])
def test_a_restrained_value_is_checked_again_for_the_same_reason(
    holders, drive, state, cookies, once
):
    """Without cookies too, where a new holder may mean another namespace."""
    path = holders.mount()
    drive.full_scan()
    set_back([path], identity(path))
    drive.results = []
    restrain_first_visit(drive, state, 30 * NS_PER_MS, once)
    if not cookies:
        namespaces = {
            key: ns_state._replace(cookie=None) for key, ns_state in drive.memory.namespaces.items()
        }
        drive.memory = drive.memory._replace(namespaces=namespaces)
    drive.full_scan(Reason.RESYNC)
    drive.until(lambda: value_in(path) == "63" and drive.scanner.idle)
    assert {result.reason for result in drive.results} == {Reason.RESYNC}, "it is no birth"


def test_a_paused_scanner_does_nothing_until_everything_is_rescanned(holders, drive):
    holders.mount()
    drive.full_scan()
    drive.scanner.pause()
    assert drive.scanner.deadline_ns() is None
    drive.results = []
    drive.cycle()
    assert drive.results == [] and drive.scanner.idle
    drive.full_scan(Reason.LOAD)
    assert drive.results


def test_a_scanner_paused_in_a_full_scan_visits_nothing_more(holders, drive, monkeypatch):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    for number in range(4):
        holders.mount(str(number))
    drive.scanner.rescan_all(Reason.START, None)
    drive.until(lambda: len(drive.scanner.visits.urgent) == 3)
    drive.scanner.pause()
    drive.until(lambda: drive.scanner.idle)
    drive.cycle()
    assert len(drive.results) == 1


def test_a_scanner_paused_in_a_scan_visits_nothing_and_forgets_nothing(holders, drive):
    path = holders.mount()
    drive.scanner.rescan_all(Reason.START, None)
    drive.cycle()
    drive.scanner.pause()
    drive.until(lambda: drive.scanner.idle)
    drive.cycle()
    assert drive.results == [] and drive.scanner.idle
    drive.scanner.rescan_all(Reason.LOAD, monotonic_ns())
    drive.until_idle()
    assert value_in(path) == "63"


def test_a_namespace_of_another_user_namespace_is_visited_last_once_and_not_after_a_load(
    holders, drive, monkeypatch
):
    monkeypatch.setattr(visit_queue, "VISITS_A_JOB", 1)
    foreign = []
    for _ in range(3):
        child = holders.spawn(["unshare", "-U", "-n", "sh", "-c", "echo ready; exec cat"])
        child.stdout.readline()
        foreign.append(identity(f"/proc/{child.pid}/ns/net"))
    own = [identity(holders.mount(str(number))) for number in range(3)]
    drive.full_scan()
    drive.until(lambda: set(foreign) <= set(drive.visited()))
    assert set(drive.visited()[:3]) == set(own)
    event_ns = drive.load()
    drive.full_scan(Reason.LOAD, event_ns)
    drive.full_scan(Reason.RESYNC)
    assert set(drive.visited()) == set(own)


def test_scans_that_births_cause_have_a_share_of_a_cpu(holders, drive):
    """A storm of namespaces that are gone before a scan can find them."""
    drive.full_scan()
    began_ns, scans = monotonic_ns(), 0
    drive.scanner.schedule.share.spend(2 * NS_PER_S, began_ns)  # more than what was saved up
    before = drive.scanner.schedule.last
    while monotonic_ns() < began_ns + NS_PER_S // 2:
        drive.expect_births(5, monotonic_ns())
        drive.wait()
        drive.cycle()
        scans += drive.scanner.schedule.last is not before
        before = drive.scanner.schedule.last
    assert scans == 0


def test_another_process_forgets_nothing_that_only_a_search_finds(holders, drive):
    """As after a hang; the next search may be minutes away."""
    _, path, meant = holders.descriptor()
    child, mounted, elsewhere = holders.mount_elsewhere()
    drive.full_scan()
    before = dict(drive.scanner.visits.places)
    assert {meant, elsewhere} <= set(before)
    drive.fork_again()
    drive.expect_births()
    drive.until_idle()
    drive.cycle()
    assert drive.scanner.visits.places == before


def test_without_room_for_a_process_the_same_is_tried_again_after_a_while(
    holders, drive, monkeypatch
):
    path, real = holders.mount(), drive.scanner.worker.submit

    def refuse(*_arguments):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(scan_schedule, "AGAIN_NS", 50 * NS_PER_MS)
    monkeypatch.setattr(drive.scanner.worker, "submit", refuse)
    drive.scanner.rescan_all(Reason.START, None)
    with pytest.raises(OSError, match="temporarily"):
        drive.cycle()
    assert drive.scanner.deadline_ns() > monotonic_ns(), "the loop must not spin"
    assert not drive.scanner.scan_complete
    monkeypatch.setattr(drive.scanner.worker, "submit", real)
    drive.until_idle()
    assert value_in(path) == "63"


def test_a_visit_that_ends_its_process_keeps_neither_the_loop_busy_nor_the_others_waiting(
    holders, drive, monkeypatch
):
    paths = [holders.mount(str(number)) for number in range(3)]
    meant = identity(paths[0])
    drive.full_scan()
    event_ns = drive.load()

    def at_visit(target):
        if target.namespace.identity == meant:
            os.kill(os.getpid(), signal.SIGKILL)

    drive.enforcer.at_visit = at_visit
    drive.fork_again()
    monkeypatch.setattr(scan_schedule, "AGAIN_NS", 100 * NS_PER_MS)
    began_ns = monotonic_ns()
    drive.scanner.rescan_all(Reason.LOAD, event_ns)
    drive.until(lambda: {value_in(path) for path in paths[1:]} == {"63"})
    drive.until(lambda: len(drive.errors) == 2)
    assert monotonic_ns() - began_ns >= 100 * NS_PER_MS
    assert drive.scanner.visits.barred_count(wary=False) == 1


def test_the_loop_sleeps_while_what_a_search_has_found_waits_for_the_share(holders, drive):
    drive.full_scan()
    _, path, _ = holders.descriptor()
    drive.scanner.schedule.share.spend(NS_PER_S + 20 * NS_PER_MS, monotonic_ns())
    cycles, real = [], drive.cycle
    drive.cycle = lambda: cycles.append(real())
    drive.full_scan(Reason.RESYNC)
    drive.until(lambda: value_in(path) == "63")
    assert len(cycles) < 100


def test_a_birth_whose_task_is_known_is_set_while_no_scan_may_be_made(holders, drive):
    """A user has spent the share of scans for a long time."""
    drive.full_scan()
    drive.scanner.schedule.share.spend(100 * NS_PER_S, monotonic_ns())
    child, path = holders.process()
    began_ns = monotonic_ns()
    drive.expect_births(1, began_ns, tasks=[child.pid])
    drive.until(lambda: value_in(path) == "63", timeout_s=2)
    drive.until(lambda: drive.new_events)
    assert drive.scanner.schedule.births.count == 0, "no scan follows"
    reaction_usec = int(drive.new_events[0].fields["IPVSD_REACTION_USEC"])
    assert 0 < reaction_usec <= (monotonic_ns() - began_ns) // 1000
    mounted = holders.mount()
    drive.expect_births()
    drive.until(lambda: value_in(mounted) == "63", timeout_s=2)


def test_a_foreign_namespace_is_described_by_its_visit_and_not_by_the_scan(holders, drive):
    drive.full_scan()
    child = holders.spawn(["unshare", "-U", "-n", "sh", "-c", "echo ready; exec cat"])
    child.stdout.readline()
    meant = identity(f"/proc/{child.pid}/ns/net")
    drive.expect_births()
    drive.until(lambda: meant in drive.scanner.visits.places)
    place = drive.scanner.visits.places[meant]
    assert place.foreign and place.namespace.owner.pid == 0
    drive.until(lambda: meant in drive.memory.namespaces)
    assert drive.memory.namespaces[meant].namespace.owner.pid == child.pid
