"""Scans for network namespaces, by each kind of holder."""

import os
import subprocess
import time

import pytest

from ipvsd.kernel import netns_discovery
from ipvsd.kernel.netns_create import create
from ipvsd.kernel.netns_discovery import NamespaceFinder
from ipvsd.kernel.netns_holders import Holder, ways_in
from ipvsd.kernel.netns_owner import describe
from ipvsd.model import CANARY_NAME, CANARY_PROCESS, HOST_NAME, VISITS_PROCESS, Owner
from ipvsd.system.worker import Worker
from tests.namespaces.holders import identity, wait_until
from tests.time_limits import in_alarm


def by_process(holders):
    return identity(holders.process()[1])


def by_mount(holders):
    return identity(holders.mount())


def by_thread(holders):
    return identity(holders.thread()[1])


def by_descriptor(holders):
    return holders.descriptor()[2]


def by_mount_elsewhere(holders):
    return holders.mount_elsewhere()[2]


KINDS = [
    ("a process", by_process, True),
    ("a mount where pid 1 sees it", by_mount, True),
    ("another thread of a process", by_thread, False),
    ("an open descriptor", by_descriptor, False),
    ("a mount in another mount namespace", by_mount_elsewhere, False),
]


@pytest.mark.parametrize("why, make, shallow", KINDS, ids=[kind[0] for kind in KINDS])
def test_each_kind_of_holder_is_found(holders, why, make, shallow):
    meant = make(holders)
    finder = NamespaceFinder(holders.root)
    quick = finder.scan(deep=False)
    assert (meant in quick.holders) is shallow
    assert (meant in quick.maybe_new) is shallow
    deep = finder.scan(deep=True)
    assert meant in deep.holders
    assert (meant in deep.maybe_new) is not shallow, "maybe new only with a new holder"
    again = finder.scan(deep=False)
    assert meant in again.holders, "a quick scan remembers what a deep scan has found"
    assert meant not in again.maybe_new


@pytest.mark.parametrize("why, make, _", KINDS, ids=[kind[0] for kind in KINDS])
def test_the_ways_in_lead_there(holders, why, make, _):
    meant = make(holders)
    paths = ways_in(NamespaceFinder(holders.root).scan(deep=True).holders[meant])
    assert paths and {identity(path) for path in paths} == {meant}


def task_of(path):
    """Return the process or thread of a path below /proc."""
    return int(path.split("/ns/")[0].rpartition("/")[2])


@pytest.mark.parametrize("who", ["the task", "a thread", "its parent", "nobody: a mount"])
def test_a_look_finds_what_is_new_without_a_scan(holders, who):
    finder = NamespaceFinder(holders.root)
    finder.scan()
    tasks = []
    if who == "nobody: a mount":
        meant = by_mount(holders)
    else:
        _, path = holders.thread() if who == "a thread" else holders.process()
        meant, tasks = identity(path), [task_of(path)]
    if who == "a thread":
        os.symlink(f"/proc/{tasks[0]}", f"{holders.root}/proc/{tasks[0]}")  # it is not listed
    if who == "its parent":
        tasks = [os.getpid()]
    found = finder.look(tasks)
    assert meant in found.maybe_new and meant in found.holders
    assert identity(ways_in(found.holders[meant])[0]) == meant
    assert not finder.look(tasks).maybe_new
    if who == "a thread":
        os.unlink(f"{holders.root}/proc/{tasks[0]}")
    again = finder.scan()
    assert meant in again.holders and meant not in again.maybe_new, "a scan finds the same"


def test_a_look_leads_into_a_namespace_whose_number_was_used_before(holders):
    """No scan has removed the holders of those that had the number before."""
    finder = NamespaceFinder(holders.root)
    finder.scan()
    _, path = holders.process()
    meant = identity(path)
    gone = [Holder(f"/proc/{number}/ns/net", number) for number in range(10**7, 10**7 + 9)]
    finder._holders[meant] = gone
    found = finder.look([task_of(path)])
    assert ways_in(found.holders[meant])[0] == f"{holders.root}/proc/{task_of(path)}/ns/net"


def test_a_look_at_a_task_that_has_ended_finds_nothing(holders):
    child, path = holders.process()
    finder = NamespaceFinder(holders.root)
    finder.scan()
    child.kill()
    child.wait()
    assert finder.look([task_of(path)]).holders == {}


def test_a_scan_never_returns_the_own_namespace(holders):
    own = netns_discovery.own()
    assert own.name == HOST_NAME
    assert own.identity not in NamespaceFinder(holders.root).scan(deep=True).holders


def test_the_real_proc_can_be_scanned(holders):
    meant = identity(holders.process()[1])
    scan = NamespaceFinder().scan(deep=True)
    assert meant in scan.holders and netns_discovery.own().identity not in scan.holders


def test_a_namespace_without_holder_is_not_found_any_more(holders):
    child, path = holders.process()
    meant, finder = identity(path), NamespaceFinder(holders.root)
    assert meant in finder.scan(deep=False).holders
    holders.end(child)
    assert meant not in finder.scan(deep=False).holders


def test_a_hidden_holder_is_not_remembered_after_its_end(holders):
    child, _, meant = holders.descriptor()
    finder = NamespaceFinder(holders.root)
    finder.scan(deep=True)
    assert meant in finder.scan(deep=False).holders
    holders.end(child)
    assert meant not in finder.scan(deep=False).holders


def test_a_new_holder_makes_a_namespace_maybe_new_once(holders):
    path = holders.mount()
    finder = NamespaceFinder(holders.root)
    finder.scan(deep=False)
    child = holders.spawn(["nsenter", "--net=" + path, "sh", "-c", "echo ready; exec cat"])
    child.stdout.readline()
    assert identity(path) in finder.scan(deep=False).maybe_new
    assert identity(path) not in finder.scan(deep=False).maybe_new
    holders.end(child)
    assert identity(path) not in finder.scan(deep=False).maybe_new, "one holder less is no reason"


def test_another_namespace_at_the_same_path_is_maybe_new_even_with_the_same_inode(holders):
    path, finder = holders.mount(), NamespaceFinder(holders.root)
    finder.scan(deep=False)

    def renewed():
        before = identity(path)
        holders.unmount(path)
        time.sleep(0.05)  # until the kernel has removed the namespace, which no file shows
        holders.mount()
        assert identity(path) in finder.scan(deep=False).maybe_new
        return identity(path) == before

    wait_until(renewed, "the kernel never uses the inode again")


def test_a_process_that_moves_to_another_namespace_is_another_holder(holders):
    path = holders.mount()
    script = 'echo ready; read -r _; exec nsenter --net="$0" sh -c "echo moved; exec cat"'
    child = holders.spawn(["sh", "-c", script, path])
    assert child.stdout.readline() == b"ready\n"
    finder = NamespaceFinder(holders.root)
    finder.scan(deep=False)
    child.stdin.write(b"go\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"moved\n"
    assert identity(path) in finder.scan(deep=False).maybe_new


def test_few_ways_in_are_kept_of_many_holders(holders):
    path = holders.mount()
    for _ in range(6):
        child = holders.spawn(["nsenter", "--net=" + path, "sh", "-c", "echo ready; exec cat"])
        child.stdout.readline()
    found = NamespaceFinder(holders.root).scan(deep=False).holders[identity(path)]
    assert len(found) == 7
    paths = ways_in(found)
    assert len(paths) == 4 and all(way.endswith("/ns/net") for way in paths), "processes first"


def described(holders, meant, deep=True):
    finder = NamespaceFinder(holders.root)
    return finder.describe(meant, finder.scan(deep).holders[meant])


def test_hints_of_a_process(holders):
    child, path = holders.process()
    namespace = described(holders, identity(path))
    with open(f"/proc/{child.pid}/cgroup", encoding="utf-8") as file:
        assert namespace.owner.cgroup in file.read()
    assert namespace.owner.pid == child.pid
    assert namespace.owner.command in ("sh", "cat"), "before or after its exec"
    assert namespace.owner.mounts == ()
    assert namespace.identity == identity(path)


def test_hints_of_a_mount(holders):
    path = holders.mount()
    namespace = described(holders, identity(path), deep=False)
    assert namespace.owner == Owner(mounts=(holders.shown(path),))
    assert namespace.name == holders.shown(path)


def test_a_mount_in_another_mount_namespace_is_shown_as_such_and_is_no_name(holders):
    child, path, meant = holders.mount_elsewhere()
    namespace = described(holders, meant)
    assert namespace.owner.mounts == ()
    assert namespace.owner.mounts_elsewhere == ((path, child.pid),)
    assert namespace.name == f"net:[{meant[1]}]"
    assert describe(namespace) == f"{path} (in the mounts of pid {child.pid})"


def test_a_path_with_blanks_is_shown_as_it_is(holders):
    path = holders.mount("a b\n\t\\c")
    assert described(holders, identity(path), deep=False).owner.mounts == (holders.shown(path),)


def test_a_descriptor_opened_through_a_mount_is_found_after_the_unmount(holders):
    """`ip netns exec` and CNI plugins open such ones; /proc shows "/" instead of net:[...]."""
    _, path, meant = holders.descriptor_through_mount()
    assert os.readlink(path) == "/"
    assert meant in NamespaceFinder(holders.root).scan(deep=True).holders


def test_a_path_with_control_characters_hides_no_namespace(holders):
    r"""The kernel leaves \v, \f and \r in paths as they are (seq_path, fs/proc_namespace.c)."""
    path = holders.mount("a\x0bb\x0cc\rd")
    assert described(holders, identity(path), deep=False).owner.mounts == (holders.shown(path),)


def test_a_link_to_a_process_is_a_name(holders):
    child, path = holders.process()
    finder = NamespaceFinder(holders.root)
    before = finder.describe(identity(path), finder.scan(False).holders[identity(path)])
    assert (before.owner.links, before.name) == ((), f"pid {child.pid} ({before.owner.command})")
    holders.link("web", path)
    holders.link("gone", "/proc/4194305/ns/net")
    holders.link("other", "/proc/1/ns/net")
    holders.link("thread", f"/proc/{child.pid}/task/{child.pid}/ns/net")
    namespace = finder.describe(identity(path), finder.scan(False).holders[identity(path)])
    assert namespace.owner.links == ("/run/netns/thread", "/run/netns/web")
    assert namespace.name == "thread"
    finder.reader.wary = True
    found = finder.scan().holders[identity(path)]
    assert finder.describe(identity(path), found).name == "thread", "no file system hangs there"


def test_who_is_wary_reads_no_names_where_a_file_system_may_hang(holders, monkeypatch):
    _, path = holders.process()
    holders.link("web", path)
    finder = NamespaceFinder(holders.root)
    finder.reader.wary = True
    monkeypatch.setattr(finder.reader, "is_served", lambda folder: folder == "/run/netns")
    found = finder.scan().holders[identity(path)]
    assert finder.describe(identity(path), found).owner.links == () and finder.names_unknown


def test_a_link_to_a_mount_is_a_name(holders):
    path = holders.mount()
    holders.link("web", holders.shown(path))
    assert described(holders, identity(path), deep=False).name == "web"


def test_a_link_is_no_holder_and_is_not_followed(holders):
    """A link may lead into a file system that hangs: it is read, and nothing else."""
    child, path = holders.process()
    meant = identity(path)
    os.mkdir(os.path.join(holders.folder, "hangs"))
    device = holders.hang("hangs")
    try:
        holders.link("hangs", os.path.join(holders.folder, "hangs", "x"))
        holders.link("web", path)
        with in_alarm():
            assert described(holders, meant, deep=False).name == "web"
        holders.end(child)
        assert meant not in NamespaceFinder(holders.root).scan(deep=False).holders
    finally:
        os.close(device)


def test_hints_of_a_process_that_has_ended_are_empty_and_no_error(holders):
    child, path = holders.process()
    finder = NamespaceFinder(holders.root)
    found = finder.scan(deep=False).holders[identity(path)]
    holders.end(child)
    namespace = finder.describe((4, 7), found)
    assert (namespace.owner.cgroup, namespace.owner.command) == ("", "")


def test_only_the_child_of_this_process_is_recognised_as_the_canary(holders):
    canary = Worker(lambda _request, _progress: create(lambda: None), CANARY_PROCESS)
    canary.submit(None)
    born = canary.wait(20).result
    finder = NamespaceFinder()  # which sees all processes, not only the holders
    found = finder.scan(deep=False).holders[born.identity]
    namespace = finder.describe(born.identity, found)
    assert (namespace.name, namespace.owner) == (CANARY_NAME, Owner(pid=canary.pid))
    assert finder.described_again(namespace) is namespace
    canary.close()
    wait_until(lambda: canary.reap() == 0)
    _, path = holders.process()
    assert described(holders, identity(path)).name != CANARY_NAME, "a child of another name"


def test_a_namespace_that_its_process_leaves_and_keeps_open_is_not_lost(holders):
    """`ip netns exec` and container runtimes do so; a search may be minutes away."""
    script = (
        "exec 8</proc/self/ns/net; exec unshare -n sh -c 'exec 9</proc/self/ns/net; echo ready;"
        ' read -r _; exec nsenter --net=/proc/self/fd/8 sh -c "echo left; exec cat"\''
    )
    child = holders.spawn(["sh", "-c", script])
    assert child.stdout.readline() == b"ready\n"
    meant = identity(f"/proc/{child.pid}/ns/net")
    finder = NamespaceFinder(holders.root)
    assert meant in finder.scan().holders
    child.stdin.write(b"go\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"left\n"
    assert identity(f"/proc/{child.pid}/ns/net") != meant
    for _ in range(2):
        assert ways_in(finder.scan().holders[meant]) == (f"{holders.root}/proc/{child.pid}/fd/9",)
    holders.end(child)
    assert meant not in finder.scan().holders


def test_a_hidden_holder_is_remembered_while_a_process_is_in_the_namespace_too(holders):
    holder, path, meant = holders.descriptor()
    finder = NamespaceFinder(holders.root)
    finder.scan(deep=True)
    visitor = holders.spawn(["nsenter", "--net=" + path, "sh", "-c", "echo ready; exec cat"])
    visitor.stdout.readline()
    assert any(one.path.endswith("/ns/net") for one in finder.scan().holders[meant])
    holders.end(visitor)
    assert meant in finder.scan().holders
    holders.end(holder)
    assert meant not in finder.scan().holders


def test_a_visit_of_the_guards_is_no_holder_for_a_command(holders):
    """`ipvsd apply` runs while the daemon visits: its process is elsewhere a moment later."""
    holder, path, meant = holders.descriptor()
    script = f"echo {VISITS_PROCESS} >/proc/self/comm; echo ready; while read -r _; do :; done"
    visitor = holders.spawn(["nsenter", "--net=" + path, "sh", "-c", script])
    visitor.stdout.readline()
    found = NamespaceFinder(holders.root).scan(deep=True).holders[meant]
    assert [one.path for one in found] == [f"{holders.root}/proc/{holder.pid}/fd/9"]


def test_a_zombie_holds_nothing_and_is_no_error(holders):
    child, path = holders.process()
    meant = identity(path)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert meant not in NamespaceFinder(holders.root).scan(deep=True).holders


def test_scanning_leaves_no_descriptor_open(holders):
    _, path = holders.process()
    finder = NamespaceFinder(holders.root)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        finder.scan(deep=True)
    assert len(os.listdir("/proc/self/fd")) == before
    assert subprocess.call(["test", "-e", path]) == 0
