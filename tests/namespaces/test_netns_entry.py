"""The way into network namespaces: who enters one comes home and leaves no trace."""

import os
import socket

import pytest

from ipvsd.enforce.all_namespaces import in_worker
from ipvsd.enforce.enforcer import Enforcer, Target
from ipvsd.kernel import ipvs, libc, netns_entry
from ipvsd.kernel.netns_entry import Entrance, Gone
from ipvsd.kernel.own_procfs import OwnProcfs
from ipvsd.model import Found, GuardError, Mode, Namespace, Policy, Reading, Reason, State
from tests.namespaces.drive import inside
from tests.namespaces.holders import held, identity
from tests.namespaces.stand_in import KEY, STAND_IN, read
from tests.time_limits import in_alarm

POLICY = Policy(Mode.ENFORCE, 10**9, (STAND_IN,))


def target(path, meant=None, name="web"):
    return Target(Namespace(*(meant or identity(path)), name), Reason.BIRTH, None, (path,))


def visit(where, policy=POLICY):
    return in_worker(lambda _progress: Enforcer().visit(policy, where))


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
def test_a_value_is_set_in_a_namespace_and_nowhere_else(holders, way):
    path, here = way(holders), read()
    result = visit(target(path))
    assert [(key.state, key.value) for key in result.keys] == [(State.AS_WANTED, "63")]
    (outcome,) = result.outcomes
    assert (outcome.write.found, outcome.after.value, outcome.error) == ("64", "63", "")
    assert outcome.written_ns is not None
    again = visit(target(path))
    assert again.writes == () and again.keys[0].state is State.AS_WANTED
    assert read() == here, "the own namespace keeps its value"


def test_the_parent_never_moves_and_who_visits_comes_home(holders):
    _, path = holders.process()
    home = identity("/proc/self/ns/net")

    def job(_progress):
        there = Entrance().visit([path], identity(path), _where)
        return there, _where()

    assert in_worker(job) == (identity(path), home)
    assert _where() == home


@pytest.mark.parametrize("error", [ValueError("broken"), OSError(5, "broken")])
def test_a_visit_that_fails_comes_home_too(holders, error):
    _, path = holders.process()

    def fail():
        raise error

    def job(_progress):
        entrance = Entrance()
        with pytest.raises(type(error), match="broken"):
            entrance.visit([path], identity(path), fail)
        return _where(), entrance.visit([path], identity(path), read)

    assert in_worker(job) == (identity("/proc/self/ns/net"), "64")


def test_two_namespaces_in_one_job_and_the_way_in_is_opened_at_home(holders, monkeypatch):
    """What hangs in opening the second must not hang in the first: it would keep that alive."""
    paths = [holders.process()[1], holders.mount()]
    opened_at, real = [], netns_entry._open

    def watched(path, meant):
        opened_at.append(_where())
        return real(path, meant)

    monkeypatch.setattr(netns_entry, "_open", watched)

    def job(_progress):
        entrance = Entrance()
        seen = [entrance.visit([path], identity(path), _where) for path in paths]
        return seen, opened_at

    assert in_worker(job) == ([identity(path) for path in paths], [_where()] * 2)


def test_without_a_way_home_the_process_ends(holders, monkeypatch):
    """Else it would go on in a namespace of somebody else's."""
    _, path = holders.process()

    def job(_progress):
        entrance = Entrance()
        entrance._home = os.open("/dev/null", os.O_RDONLY)
        return entrance.visit([path], identity(path), _where)

    with pytest.raises(GuardError, match="no way home"):
        in_worker(job)


def _where():
    return identity("/proc/thread-self/ns/net")


def test_nothing_keeps_a_namespace_alive(holders):
    child, path = holders.process()
    meant = identity(path)
    visit(target(path))
    assert held(meant) == [f"/proc/{child.pid}/task/{child.pid}/ns/net"]
    holders.end(child)
    assert held(meant) == []


def test_a_namespace_that_is_gone_is_reported_as_gone(holders):
    child, path = holders.process()
    where = target(path)
    holders.end(child)
    result = visit(where)
    assert [key.state for key in result.keys] == [State.GONE]
    assert result.outcomes == ()
    entrance = Entrance()
    with pytest.raises(Gone):
        entrance.visit([path], where.namespace.identity, _where)
    entrance.close()


def test_a_path_that_leads_to_another_namespace_now_is_not_entered(holders):
    _, path = holders.process()
    other = holders.mount()
    before = inside([other], identity(other), read)
    result = visit(target(other, meant=identity(path)))
    assert [key.state for key in result.keys] == [State.GONE]
    assert inside([other], identity(other), read) == before


def test_the_first_of_several_paths_that_still_leads_there_is_taken(holders):
    child, gone = holders.process()
    other, path = holders.mount("other"), holders.mount("meant")
    holders.end(child)
    paths = (gone, other, "/proc/self/fd/99999", path)
    assert inside(paths, identity(path), _where) == identity(path)


def test_an_excluded_namespace_is_not_even_entered(holders, monkeypatch):
    path = holders.mount()
    monkeypatch.setattr(Entrance, "visit", lambda *_arguments: pytest.fail("entered"))
    policy = POLICY._replace(settings=())
    assert visit(target(path), policy).keys == ()


def test_observing_writes_nothing(holders):
    path = holders.mount()
    result = visit(target(path), POLICY._replace(mode=Mode.OBSERVE))
    assert result.keys[0].state is State.DIFFERS and len(result.writes) == 1
    assert inside([path], identity(path), read) == "64"


def test_a_namespace_of_another_user_namespace_is_distinguished(holders):
    child = holders.spawn(["unshare", "-U", "-n", "sh", "-c", "echo ready; exec cat"])
    child.stdout.readline()
    foreign, own = f"/proc/{child.pid}/ns/net", holders.mount()

    def owned(path):
        return inside([path], identity(path), netns_entry.owned_elsewhere)

    assert owned(foreign) is True
    assert owned(own) is False


def test_facts_without_ip_vs_have_a_cookie_and_no_estimators(holders):
    """SO_NETNS_COOKIE came with Linux 5.14; older kernels report neither."""
    paths = [holders.mount("a"), holders.mount("b")]

    def facts(path):
        return inside([path], identity(path), ipvs.facts)

    first, second = map(facts, paths)
    assert facts(paths[0]) == first
    if not os.path.isdir("/sys/module/ip_vs"):
        assert first.estimators is None
    assert first.cookie is None or first.cookie != second.cookie


def test_descriptors_stay_flat(holders):
    paths = [holders.process()[1], holders.mount()]

    def job(_progress):
        enforcer = Enforcer()
        enforcer.visit(POLICY, target(paths[0]))
        before = len(os.listdir("/proc/self/fd"))
        for number in range(500):
            enforcer.visit(POLICY, target(paths[number % 2]))
        return len(os.listdir("/proc/self/fd")) - before

    assert in_worker(job) == 0


@pytest.fixture(params=["host", "container"])
def procfs_root(request, tmp_path):
    """Return "/", or a folder in which the host's /proc is, as a container has it mounted."""
    if request.param == "host":
        return "/"
    os.symlink("/proc", str(tmp_path / "proc"))
    return str(tmp_path)


def test_a_visit_looks_up_nothing_in_the_shared_procfs(holders, procfs_root):
    """There it would make each look-up of every program slower."""
    path = holders.process()[1]

    def job(_progress):
        enforcer = Enforcer(procfs_root)
        assert enforcer.kernel.procfs.folder() is not None, enforcer.kernel.procfs.unavailable
        real, opened = os.open, []

        def watched(name, flags, mode=0o777, *, dir_fd=None):
            opened.append(str(name) if dir_fd is None else "below a descriptor")
            return real(name, flags, mode, dir_fd=dir_fd)

        os.open = watched
        enforcer.visit(POLICY, target(path))
        return opened

    assert [name for name in in_worker(job) if "/sys/" in name] == []


def test_without_an_instance_of_its_own_the_shared_procfs_is_used(
    holders, procfs_root, monkeypatch
):
    """As before Linux 5.8, or where a system call is refused.

    A container's own /proc/sys is read-only: there it is the one below the root.
    """
    path = holders.process()[1]
    for number in (libc.errno.ENOSYS, libc.errno.EPERM, libc.errno.EACCES):

        def refuse(_kind, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(libc, "fsopen", refuse)

        def job(_progress):
            enforcer = Enforcer(procfs_root)
            opened, real = [], os.open

            def watched(name, flags, mode=0o777, *, dir_fd=None):
                opened.append(str(name))
                return real(name, flags, mode, dir_fd=dir_fd)

            os.open = watched
            result = enforcer.visit(POLICY, target(path))
            folders = {name for name in opened if "/proc/sys" in name}
            return result.keys[0].state, enforcer.kernel.procfs.unavailable, folders

        state, why, folders = in_worker(job)
        assert (state, why) == (State.AS_WANTED, os.strerror(number))
        assert folders and all(
            name.startswith(os.path.join(procfs_root, "proc/sys/")) for name in folders
        )


def test_what_passes_does_not_end_the_use_of_own_instances(monkeypatch):
    def refuse(_kind):
        raise OSError(libc.errno.EMFILE, "too many open files")

    monkeypatch.setattr(libc, "fsopen", refuse)
    procfs = OwnProcfs()
    assert procfs.folder() is None and procfs.unavailable == ""
    monkeypatch.undo()
    assert procfs.folder() is not None
    procfs.drop()


def test_an_instance_that_is_shared_is_not_taken_for_ones_own(monkeypatch):
    monkeypatch.setattr(libc, "fsmount", lambda _one: os.open("/proc", os.O_PATH | os.O_CLOEXEC))
    before = len(os.listdir("/proc/self/fd"))
    procfs = OwnProcfs()
    assert procfs.folder() is None and "only one" in procfs.unavailable
    assert len(os.listdir("/proc/self/fd")) == before


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
def test_a_file_that_is_no_namespace_is_never_opened_nor_waited_for(holders, tmp_path, make):
    """An attacker may have put such a file where a namespace was mounted."""
    path = str(tmp_path / "hostile")
    make(path)
    opened = _watch_opens(tmp_path)
    where = target(path, meant=identity(holders.mount()))
    with in_alarm():
        state = visit(where).keys[0].state
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


def test_a_path_that_cannot_be_followed_does_not_hide_the_next_one(holders, tmp_path):
    loop, path = str(tmp_path / "loop"), holders.mount()
    _loop(loop)
    assert inside([loop, path], identity(path), _where)


def test_a_write_is_read_back_where_it_was_made(holders):
    """Enforcer.read() sees the namespace of the thread that calls it."""
    path, enforcer = holders.mount(), Enforcer()
    found = inside([path], identity(path), lambda: enforcer.read(KEY))
    assert found == Reading(Found.VALUE, "64")
    assert enforcer.read(KEY).value == read()
