"""The file with the states of all namespaces: written by a fork, which sees one moment."""

import json
import os
import signal

import pytest

from ipvsd.daemon import namespaces_file
from ipvsd.daemon.namespaces_file import NamespacesFile
from ipvsd.enforce.memory import Memory
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import NS_PER_S, KeyStatus, Namespace, State
from ipvsd.status import documents
from ipvsd.status.runtime_dir import NAMESPACES, RuntimeFolder
from ipvsd.system.event_loop import Loop, monotonic_ns
from ipvsd.system.worker import Worker
from tests.builders import RUN, WALL_NS

NOW_NS = 1000 * NS_PER_S


class Stage:
    """The file of this process, and a clock that the test moves."""

    def __init__(self, root):
        self.folder = RuntimeFolder(root.path)
        self.folder.lock()
        self.loop = Loop([])
        self.file = NamespacesFile(self.loop, self.folder)

    def write(self, memory, now_ns=NOW_NS, took_ns=0):
        """Have the file written; return the error."""
        self.file.begin(memory, now_ns)
        while True:
            done = self.file.take(now_ns + took_ns)
            if done is not None:
                return done.error
            assert self.loop.wait(monotonic_ns() + 20 * NS_PER_S).descriptors

    def inodes(self):
        with open(self.folder.path(NAMESPACES), encoding="utf-8") as file:
            document = json.load(file)
        assert document["pid"] == os.getpid(), "the daemon's"
        return [one["inode"] for one in document["namespaces"]]


@pytest.fixture
def stage(root):
    made = Stage(root)
    yield made
    made.file.close()
    made.loop.close()
    made.folder.unlock()


def remembered(count, revision=1):
    namespaces = [
        NamespaceState(Namespace(4, number, "x"), 5, WALL_NS, 9, keys=(KeyStatus(RUN, State.HELD),))
        for number in range(count)
    ]
    return Memory(namespaces={one.namespace.identity: one for one in namespaces}, revision=revision)


def test_the_file_has_the_memory_of_one_moment_and_no_process_stays(stage):
    memory = remembered(200)
    stage.file.begin(memory, NOW_NS)
    assert stage.file.busy and len(stage.loop.own_pids) == 2
    stage.file.begin(remembered(7, revision=2), NOW_NS)
    assert stage.write(memory) == "" and stage.inodes() == list(range(200))
    assert stage.file.due_ns(memory) is None and not stage.file.busy
    assert stage.loop.own_pids == {os.getpid()}
    assert stage.write(remembered(7, revision=2)) == "" and len(stage.inodes()) == 7


def test_a_memory_that_has_not_changed_is_not_written_again(stage):
    stage.write(remembered(3))
    stage.file.begin(remembered(3)._replace(loads=5), NOW_NS)
    assert not stage.file.busy


def test_constant_changes_are_written_at_a_fiftieth_of_a_cpu(stage):
    stage.write(remembered(1), took_ns=NS_PER_S)
    later = remembered(1, revision=2)
    assert stage.file.due_ns(later) == NOW_NS + 51 * NS_PER_S
    stage.file.begin(later, NOW_NS + 50 * NS_PER_S)
    assert not stage.file.busy
    stage.file.begin(later, NOW_NS + 51 * NS_PER_S)
    assert stage.file.busy


def test_an_error_is_returned_and_tried_again_later(stage):
    path = stage.folder.path(NAMESPACES)
    os.mkdir(path)
    assert stage.write(remembered(1)) == f"{path}: Is a directory"
    os.rmdir(path)
    due_ns = stage.file.due_ns(remembered(1))
    assert due_ns > NOW_NS
    assert stage.write(remembered(1), due_ns) == "" and len(stage.inodes()) == 1


def test_without_room_for_a_process_the_error_is_returned(stage, monkeypatch):
    def refuse(_worker, _request):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(Worker, "submit", refuse)
    assert stage.write(remembered(1)) == "Resource temporarily unavailable"


def test_a_process_that_is_stopped_is_replaced(stage, monkeypatch):
    with monkeypatch.context() as patch:  # else it may have ended before it is stopped
        patch.setattr(documents, "known", lambda _memory: signal.pause())
        stage.file.begin(remembered(1), NOW_NS)
    (pid,) = stage.loop.own_pids - {os.getpid()}
    os.kill(pid, signal.SIGSTOP)
    end_ns = stage.file.due_ns(remembered(1))
    assert end_ns == NOW_NS + namespaces_file._LIMIT_NS
    assert "did not end" in stage.file.take(end_ns).error
    assert stage.write(remembered(1), stage.file.due_ns(remembered(1))) == ""
