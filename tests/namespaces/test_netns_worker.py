"""The worker: it enters network namespaces, comes home and leaves no trace."""

import os
import socket
import threading

import pytest

from ipvsd.enforce.enforcer import Enforcer, Target
from ipvsd.kernel import ipvs, libc, netns_worker
from ipvsd.kernel.netns_worker import Gone, NamespaceWorker
from ipvsd.model import Found, Mode, Namespace, Policy, Reading, Reason, State
from tests.namespaces.holders import held, identity, wait_until
from tests.namespaces.stand_in import KEY, STAND_IN, read

POLICY = Policy(Mode.ENFORCE, 10**9, (STAND_IN,))


def target(path, meant=None, name="web"):
    return Target(Namespace(*(meant or identity(path)), name), Reason.BIRTH, None, (path,))


def visit(worker, where, policy=POLICY):
    return worker.call(lambda: Enforcer().visit(policy, where))


def by_process(holders):
    return holders.process()[1]


def by_thread(holders):
    return holders.thread()[1]


def by_descriptor(holders):
    return holders.descriptor()[1]


def by_mount_elsewhere(holders):
    child, path, _ = holders.mount_elsewhere()
    return f"/proc/{child.pid}/root{path}"


WAYS = [
    by_process,
    lambda holders: holders.mount(),
    by_thread,
    by_descriptor,
    by_mount_elsewhere,
]
IDS = ["process", "mount", "thread", "descriptor", "mount elsewhere"]


@pytest.mark.parametrize("way", WAYS, ids=IDS)
def test_a_value_is_set_in_a_namespace_and_nowhere_else(holders, worker, way):
    path, here = way(holders), read()
    result = visit(worker, target(path))
    assert [(key.state, key.value) for key in result.keys] == [(State.AS_WANTED, "63")]
    (outcome,) = result.outcomes
    assert (outcome.write.found, outcome.after.value, outcome.error) == ("64", "63", "")
    assert outcome.written_ns is not None
    again = visit(worker, target(path))
    assert again.writes == () and again.keys[0].state is State.AS_WANTED
    assert read() == here, "the own namespace keeps its value"


def test_the_main_thread_never_moves_and_the_worker_comes_home(holders, worker):
    _, path = holders.process()
    home = identity("/proc/self/ns/net")
    seen_there = []

    def job():
        def check():
            seen_there.append(identity("/proc/thread-self/ns/net"))
            seen_there.append(identity("/proc/self/ns/net"))
            return identity("/proc/thread-self/ns/net")

        netns_worker.enter([path], identity(path), check)
        return os.readlink("/proc/thread-self").split("/")[-1]

    thread = worker.call(job)
    assert seen_there == [identity(path), home]
    assert identity("/proc/self/ns/net") == home
    assert identity(f"/proc/self/task/{thread}/ns/net") == home


@pytest.mark.parametrize("error", [ValueError("broken"), OSError(5, "broken")])
def test_a_job_that_fails_away_from_home_comes_home_too(holders, worker, error):
    _, path = holders.process()

    def fail():
        raise error

    with pytest.raises(type(error), match="broken"):
        worker.call(lambda: netns_worker.enter([path], identity(path), fail))
    assert worker.call(lambda: identity("/proc/thread-self/ns/net")) == identity(
        "/proc/self/ns/net"
    )
    assert worker.call(lambda: netns_worker.enter([path], identity(path), read)) == "64"


def test_two_namespaces_in_one_job(holders, worker):
    paths = [holders.process()[1], holders.mount()]

    def job():
        return [netns_worker.enter([path], identity(path), _where) for path in paths]

    assert worker.call(job) == [identity(path) for path in paths]


def _where():
    return identity("/proc/thread-self/ns/net")


def test_nothing_keeps_a_namespace_alive(holders, worker):
    child, path = holders.process()
    meant = identity(path)
    visit(worker, target(path))
    assert held(meant) == [f"/proc/{child.pid}/task/{child.pid}/ns/net"]
    holders.end(child)
    assert held(meant) == []


def test_a_namespace_that_is_gone_is_reported_as_gone(holders, worker):
    child, path = holders.process()
    where = target(path)
    holders.end(child)
    result = visit(worker, where)
    assert [key.state for key in result.keys] == [State.GONE]
    assert result.outcomes == ()
    with pytest.raises(Gone):
        worker.call(lambda: netns_worker.enter([path], where.namespace.identity, _where))


def test_a_path_that_leads_to_another_namespace_now_is_not_entered(holders, worker):
    _, path = holders.process()
    other = holders.mount()
    before = worker.call(lambda: netns_worker.enter([other], identity(other), read))
    result = visit(worker, target(other, meant=identity(path)))
    assert [key.state for key in result.keys] == [State.GONE]
    assert worker.call(lambda: netns_worker.enter([other], identity(other), read)) == before


def test_the_first_of_several_paths_that_still_leads_there_is_taken(holders, worker):
    child, gone = holders.process()
    other, path = holders.mount("other"), holders.mount("meant")
    holders.end(child)
    paths = (gone, other, "/proc/self/fd/99999", path)
    assert worker.call(lambda: netns_worker.enter(paths, identity(path), _where)) == identity(path)


def test_an_excluded_namespace_is_not_even_entered(holders, worker, monkeypatch):
    path = holders.mount()
    monkeypatch.setattr(netns_worker, "enter", lambda *_arguments: pytest.fail("entered"))
    policy = POLICY._replace(settings=())
    assert visit(worker, target(path), policy).keys == ()


def test_observing_writes_nothing(holders, worker):
    path = holders.mount()
    result = visit(worker, target(path), POLICY._replace(mode=Mode.OBSERVE))
    assert result.keys[0].state is State.DIFFERS and len(result.writes) == 1
    assert worker.call(lambda: netns_worker.enter([path], identity(path), read)) == "64"


def test_a_namespace_of_another_user_namespace_is_distinguished(holders, worker):
    child = holders.spawn(["unshare", "-U", "-n", "sh", "-c", "echo ready; exec cat"])
    child.stdout.readline()
    foreign, own = f"/proc/{child.pid}/ns/net", holders.mount()

    def owned(path):
        return worker.call(
            lambda: netns_worker.enter([path], identity(path), netns_worker.owned_elsewhere)
        )

    assert owned(foreign) is True
    assert owned(own) is False


def test_facts_without_ip_vs_have_a_cookie_and_no_estimators(holders, worker):
    """SO_NETNS_COOKIE came with Linux 5.14; older kernels report neither."""
    paths = [holders.mount("a"), holders.mount("b")]

    def facts(path):
        return worker.call(lambda: netns_worker.enter([path], identity(path), ipvs.facts))

    first, second = map(facts, paths)
    assert facts(paths[0]) == first
    if not os.path.isdir("/sys/module/ip_vs"):
        assert first.estimators is None
    assert first.cookie is None or first.cookie != second.cookie


def test_descriptors_and_threads_stay_flat(holders, worker):
    paths = [holders.process()[1], holders.mount()]
    visit(worker, target(paths[0]))
    before = len(os.listdir("/proc/self/fd")), os.listdir("/proc/self/task")
    for number in range(500):
        visit(worker, target(paths[number % 2]))
    assert (len(os.listdir("/proc/self/fd")), os.listdir("/proc/self/task")) == before


def _fifo(path):
    os.mkfifo(path)


def _file(path):
    with open(path, "w", encoding="ascii") as file:
        file.write("net:[4026531840]")


def _device(path):
    os.mknod(path, 0o20600, os.makedev(10, 130))  # /dev/watchdog: opening it starts a countdown


def _socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)


def _huge(path):
    with open(path, "wb") as file:
        file.truncate(1 << 40)


def _dangling(path):
    os.symlink(path + "-nowhere", path)


def _loop(path):
    os.symlink(path, path)


@pytest.mark.parametrize(
    "make",
    [_fifo, _file, _device, _socket, _huge, _dangling, _loop, os.mkdir, lambda _path: 0],
)
def test_a_file_that_is_no_namespace_is_never_opened_nor_waited_for(
    holders, worker, tmp_path, make
):
    """An attacker may have put such a file where a namespace was mounted."""
    path = str(tmp_path / "hostile")
    make(path)
    opened = _watch_opens(tmp_path)
    where = target(path, meant=identity(holders.mount()))
    worker.submit(lambda: Enforcer().visit(POLICY, where))
    taken = []
    wait_until(lambda: taken.append(worker.take()) or taken[-1], "the visit hangs")
    state = taken[-1].result.keys[0].state
    assert state in (State.GONE, State.UNREADABLE) and opened() == []


def _watch_opens(folder):
    """Watch a folder by inotify; return a function that returns what was opened in it."""
    descriptor = libc.inotify_init()
    libc.inotify_add_watch(descriptor, str(folder), 0x20)  # IN_OPEN

    def opened():
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            data = b""
        finally:
            os.close(descriptor)
        return [data] if b"hostile" in data else []

    return opened


def test_a_path_that_cannot_be_followed_does_not_hide_the_next_one(holders, worker, tmp_path):
    loop, path = str(tmp_path / "loop"), holders.mount()
    _loop(loop)
    assert worker.call(lambda: netns_worker.enter([loop, path], identity(path), _where))


def test_a_job_that_hangs_is_replaced_and_the_next_one_works(holders, worker):
    path, release = holders.mount(), threading.Event()
    worker.submit(lambda: release.wait() and "late")
    hung = worker._thread
    assert worker.take() is None
    worker.replace()
    assert not worker.busy
    assert worker.call(lambda: netns_worker.enter([path], identity(path), _where)) == identity(path)
    release.set()
    hung.join(20)
    assert worker.take() is None, "its result is ignored"
    assert worker.call(lambda: "works") == "works"


def test_the_result_of_a_replaced_job_is_ignored():
    worker, release = NamespaceWorker(), threading.Event()
    worker.submit(lambda: release.wait() and "late")
    hung = worker._thread
    worker.replace()
    release.set()
    hung.join(20)
    assert worker.take() is None
    worker.call(lambda: None)
    worker.close()


def test_a_worker_that_has_replaced_its_thread_gives_all_descriptors_back():
    """A fixture of all tests counts descriptors."""
    worker, release = NamespaceWorker(), threading.Event()
    worker.submit(release.wait)
    hung = worker._thread
    worker.replace()
    release.set()
    hung.join(20)
    worker.close()


def test_a_worker_that_never_worked_can_be_closed():
    NamespaceWorker().close()


def test_a_write_is_read_back_where_it_was_made(holders, worker):
    """Enforcer.read() sees the namespace of the thread that calls it."""
    path = holders.mount()
    enforcer = Enforcer()
    assert worker.call(
        lambda: netns_worker.enter([path], identity(path), lambda: enforcer.read(KEY))
    ) == Reading(Found.VALUE, "64")
    assert enforcer.read(KEY).value == read()
