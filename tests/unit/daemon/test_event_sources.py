"""Event sources: an unavailable one is logged once, tried again, and logged when it is back."""

import os

import pytest

from ipvsd.daemon import event_sources
from ipvsd.daemon.event_sources import OFF, ON, NamespaceSources, Source, Writes
from ipvsd.journal.events import Kind
from ipvsd.kernel.netns_births import BirthEvents
from ipvsd.model import NS_PER_S, Exit, GuardError
from ipvsd.system.event_loop import Loop, monotonic_ns


class Pipe:
    """A source that is available and has an event."""

    def __init__(self):
        self._ends = os.pipe()
        os.write(self._ends[1], b"x")

    def fileno(self):
        return self._ends[0]

    def close(self):
        for end in self._ends:
            os.close(end)


@pytest.fixture
def loop():
    made = Loop([])
    yield made
    made.close()


def kinds(new_events):
    return [event.kind for event in new_events]


def test_a_source_is_opened_waited_on_and_closed_without_an_event(loop):
    source = Source("ticks", "no ticks", loop, Pipe)
    assert source.open() == [] and source.open() == [] and source.state == ON
    assert source.woke(loop.wait(monotonic_ns() + 10**10).descriptors)
    source.close()
    assert source.state == OFF and not loop.wait(0).descriptors


def test_an_unavailable_source_is_logged_once_for_each_reason_and_when_it_is_back(loop):
    reasons = ["locked down", "locked down", "not mounted"]

    def open_it():
        if reasons:
            raise OSError(1, reasons.pop(0), "/sys/x")
        return Pipe()

    source = Source("ticks", "no ticks", loop, open_it)
    (event,) = source.open()
    assert event.kind is Kind.SOURCE_LOST
    assert event.message == "ticks: unavailable (/sys/x: locked down); no ticks"
    assert source.open() == []
    assert kinds(source.open()) == [Kind.SOURCE_LOST]
    assert source.state == "/sys/x: not mounted"
    assert kinds(source.open()) == [Kind.SOURCE_BACK]
    assert kinds(source.lose("broken")) == [Kind.SOURCE_LOST]
    assert source.state == "broken"


def test_a_source_that_cannot_be_opened_for_want_of_descriptors_is_unavailable(loop):
    def open_it():
        raise GuardError(
            "kernel uevents: cannot be received: Too many open files", Exit.CANNOT_TELL
        )

    source = Source("new devices", "a scan each second finds new namespaces", loop, open_it)
    assert kinds(source.open()) == [Kind.SOURCE_LOST] and not source.works


def test_a_source_that_is_doubted_stays_open_and_is_not_believed(loop):
    source = Source("ticks", "no ticks", loop, Pipe)
    source.open()
    (event,) = source.doubt("none came")
    assert event.message == "ticks: unavailable (none came); no ticks"
    assert source.doubt("none came") == [] and source.open() == []
    assert source.opened is not None and not source.works and source.state == "none came"
    source.lose("broken")
    assert source.open() == [event] and not source.works, "it has proved nothing since"
    assert kinds(source.believe()) == [Kind.SOURCE_BACK] and source.works and source.state == ON
    assert source.believe() == []
    source.close()


def test_on_a_host_without_tracefs_new_devices_are_waited_for(loop, root):
    sources = NamespaceSources(loop, root.path)
    assert kinds(sources.arrange(True)) == [Kind.SOURCE_LOST, Kind.SOURCE_LOST]  # births, mounts
    assert sources.arrange(True) == []
    assert not sources.births_reported
    states = sources.states()
    assert states["devices"] == ON and states["births"] not in (ON, OFF)
    assert sources.arrange(False) == []
    assert set(sources.states().values()) == {OFF}


class Probe(Pipe):
    """A probe that works until somebody breaks it."""

    def __init__(self):
        super().__init__()
        self.broken = None

    def defect(self):
        return self.broken

    def drain(self, _own, _loading):
        return BirthEvents()


def test_the_probe_is_checked_every_5_s_and_what_it_missed_is_searched_for(loop, root, monkeypatch):
    probes = []
    monkeypatch.setattr(
        event_sources, "_set_probe", lambda *_: probes.append(Probe()) or probes[-1]
    )
    sources = NamespaceSources(loop, root.path)
    assert sources.due_ns is None, "there is nothing to check"
    began_ns = monotonic_ns()
    sources.arrange(True)
    assert began_ns + 5 * NS_PER_S <= sources.due_ns <= monotonic_ns() + 5 * NS_PER_S
    sources.take_events(set(), [])
    probes[0].broken = "switched off"
    assert kinds(sources.arrange(True)) == [Kind.SOURCE_LOST, Kind.SOURCE_BACK]
    assert len(probes) == 2 and sources.births_reported
    # One birth, so that a search follows where no scan finds it, at a time that is not known.
    assert sources.take_events(set(), []) == BirthEvents(births=1)
    assert sources.take_events(set(), []) is None
    sources.close()
    assert sources.due_ns is None


def test_writes_are_reported_for_the_present_load_only(loop, root):
    root.load_ip_vs()
    writes = Writes(loop, root.path)
    assert writes.arrange(1) == []
    path = root.join("proc/sys/net/ipv4/vs/run_estimation")
    with open(path, "w", encoding="ascii") as file:
        file.write("1\n")
    assert writes.take_events(loop.wait(monotonic_ns() + 10**10).descriptors)
    assert not writes.take_events(loop.wait(0).descriptors)
    writes.arrange(None)
    writes.take_events(loop.wait(0).descriptors)  # the kernel reports that the watch is removed
    with open(path, "w", encoding="ascii") as file:
        file.write("1\n")
    assert not writes.take_events(loop.wait(0).descriptors)
    writes.close()


def test_a_kernel_without_the_key_has_nothing_to_watch(loop, root):
    root.load_ip_vs(am_droprate="10")
    writes = Writes(loop, root.path)
    assert writes.arrange(1) == [] and writes.state == ON
    writes.close()
