"""Cycles of the daemon's loop in this process, with a monitor that misbehaves."""

import gc
import itertools
import os
import signal
import sys
import time

import pytest

from ipvsd.config import files as config_files
from ipvsd.daemon.daemon import Daemon, Parts, new_loop
from ipvsd.daemon.failures import Failures
from ipvsd.daemon.host_check import HostCheck
from ipvsd.daemon.publisher import Publisher
from ipvsd.enforce import decide
from ipvsd.enforce.contest import CONTESTED_AFTER
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.journal.events import Kind
from ipvsd.journal.rate_limit import RateLimiter
from ipvsd.kernel.uevents import Drained, Monitor
from ipvsd.model import NS_PER_MS, NS_PER_S, Reason
from ipvsd.status.runtime_dir import RuntimeFolder
from ipvsd.system.event_loop import monotonic_ns
from ipvsd.system.mailbox import Mailbox
from ipvsd.system.sd_notify import Notifier

# An upper bound, for a machine that also runs virtual machines.
TIMEOUT_S = 90


class FakeMonitor:
    """A monitor that is always readable; the test decides what drain() returns."""

    def __init__(self):
        self._readable, writable = os.pipe()
        os.write(writable, b"x")
        os.close(writable)

    def fileno(self):
        return self._readable

    def drain(self):
        return Drained([])

    def defect(self):
        return None

    def close(self):
        os.close(self._readable)


class Stage:
    """A daemon and what it logs; stop_if(), called at each drain, stops it."""

    def __init__(self, root):
        self.logged = []
        self.monitors = []
        self.started_s = time.monotonic()
        root.configure("[guard]\nresync = 1s\n")
        places = config_files.Places(root.join("etc/ipvs-estoff-guard"))
        self.parts = Parts(
            loop=new_loop(),
            enforcer=Enforcer(root.path),
            load_config=lambda: config_files.load(places),
            places=places,
            folder=RuntimeFolder(root.path),
            send=lambda event: self.logged.append(event) is None,
            stderr=Mailbox("ipvsd-stderr"),
            notifier=Notifier({}),
            watchdog_ns=None,
            new_monitor=self.new_monitor,
            root=root.path,
        )
        assert self.parts.folder.lock()

    def new_monitor(self):
        self.monitors.append(FakeMonitor())
        return self.monitors[-1]

    def kinds(self):
        return [event.kind for event in self.logged]

    def stop_if(self, condition):
        if condition:
            os.kill(os.getpid(), signal.SIGTERM)
        elif time.monotonic() - self.started_s > TIMEOUT_S:
            pytest.fail(f"not within {TIMEOUT_S} s; logged: {self.logged}")


@pytest.fixture
def stage(root):
    root.load_ip_vs()
    made = Stage(root)
    yield made
    for monitor in made.monitors:
        monitor.close()
    made.parts.loop.close()


def test_a_storm_of_other_events_does_not_keep_the_daemon_from_checking(root, stage, monkeypatch):
    def drain(_self):
        if Kind.STARTED in stage.kinds() and stage.kinds().count(Kind.CHANGED) == 1:
            root.set("run_estimation", "1")
        stage.stop_if(stage.kinds().count(Kind.CHANGED) > 1)
        return Drained([])

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    assert root.get() == "0"


def test_a_storm_of_other_events_causes_few_publications(root, stage, monkeypatch):
    drained, published = [], []

    def drain(_monitor):
        drained.append(1)
        stage.stop_if(len(drained) == 200)
        return Drained([])

    def publish(_publisher, name, _document):
        published.append(name)
        return []

    root.configure("[guard]\nresync = 1h\n")
    monkeypatch.setattr(FakeMonitor, "drain", drain)
    monkeypatch.setattr(Publisher, "publish", publish)
    assert Daemon(stage.parts).run() == 0
    assert len(published) < 10


@pytest.mark.parametrize(
    "drained", [Drained(["change"]), Drained(["add"]), Drained([], "no room")], ids=str
)
def test_a_reload_in_the_same_wake_up_as_a_uevent_checks_everything(
    root, stage, monkeypatch, drained
):
    """The monitor is always readable, so that the signal and the uevent wake the loop together."""
    triggers, check = [], HostCheck.check

    def drain(_monitor):
        if len(triggers) == 1:
            root.configure("[guard]\nresync = 1h\n")
            os.kill(os.getpid(), signal.SIGHUP)
        stage.stop_if(len(triggers) > 3)
        return drained

    def recorded(host, trigger, *rest):
        triggers.append(trigger)
        return check(host, trigger, *rest)

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    monkeypatch.setattr(HostCheck, "check", recorded)
    assert Daemon(stage.parts).run() == 0
    assert Reason.RELOAD in triggers


def test_loads_whose_events_were_lost_are_no_contest(root, stage, monkeypatch):
    """Such loads reset the value again and again, but nobody else changes it."""
    loads = []

    def drain(_monitor):
        changes = stage.kinds().count(Kind.CHANGED)
        stage.stop_if(changes == 1 + 2 * CONTESTED_AFTER)
        if changes == 1 + len(loads) < 1 + 2 * CONTESTED_AFTER:
            root.load_ip_vs_anew()
            loads.append(1)
            return Drained([], "no room")
        return Drained([])

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    changes = [event for event in stage.logged if event.kind is Kind.CHANGED]
    assert [event.fields["IPVSD_REASON"] for event in changes] == [
        "start"
    ] + 2 * CONTESTED_AFTER * ["load"]
    assert root.get() == "0"


def test_a_broken_monitor_is_replaced_and_everything_checked_again(root, stage, monkeypatch):
    def defect(_monitor):
        if len(stage.monitors) > 1:
            return None
        root.set("run_estimation", "1")  # the broken monitor reports no event
        return "not bound to the kernel's uevents"

    def drain(_monitor):
        stage.stop_if(stage.kinds()[-2:] == [Kind.EVENTS_LOST, Kind.CHANGED])
        return Drained([])

    monkeypatch.setattr(FakeMonitor, "defect", defect)
    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    assert len(stage.monitors) == 2
    assert root.get() == "0"


def test_a_defect_of_the_daemon_is_logged_and_survived(root, stage, monkeypatch):
    def drain(_monitor):
        stage.stop_if(Kind.CYCLE_FAILED in stage.kinds())
        raise RuntimeError("broken\n\x1b[2J")

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    failed = next(event for event in stage.logged if event.kind is Kind.CYCLE_FAILED)
    assert "RuntimeError" in failed.message and "test_cycles.py:" in failed.message
    assert failed.message.isprintable()


def test_a_defect_that_lasts_is_logged_once_a_minute_and_costs_a_cycle_a_second():
    failures = Failures()

    def logged(second, kind=RuntimeError):
        try:
            raise kind("broken")
        except kind as error:
            return len(failures.note(error, second * NS_PER_S))

    assert (logged(0), failures.pause_end_ns) == (1, 0)
    assert [second for second in range(1, 130) if logged(second)] == [60, 120]
    assert failures.pause_end_ns == 130 * NS_PER_S
    assert logged(130, KeyError) == 1


def test_after_two_failures_in_a_row_events_wait_for_a_second(root, stage, monkeypatch):
    """The monitor stays readable: without a pause, the loop would never wait."""
    began_ns = []

    def drain(_monitor):
        began_ns.append(monotonic_ns())
        stage.stop_if(len(began_ns) == 3)
        raise RuntimeError("broken")

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    assert began_ns[1] - began_ns[0] < NS_PER_S <= began_ns[2] - began_ns[1]
    assert stage.kinds().count(Kind.CYCLE_FAILED) == 1


def test_a_held_change_of_the_host_keeps_its_reason(root, stage, monkeypatch):
    """The kernel has kthreads, and services appeared just before the first check."""
    root.set("est_nice", "0")
    monkeypatch.setattr(decide, "HOLD_NS", 50 * NS_PER_MS)

    def drain(_monitor):
        stage.stop_if(Kind.CHANGED in stage.kinds())
        return Drained([])

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    logged = [event for event in stage.logged if event.kind in (Kind.HELD, Kind.CHANGED)]
    assert [event.kind for event in logged] == [Kind.HELD, Kind.CHANGED]
    assert logged[1].fields["IPVSD_REASON"] == "start"
    assert root.get() == "0"


def test_suppressed_events_are_logged_at_the_end(root, stage, monkeypatch):
    """The number of suppressed events is logged before the guard stops."""

    def drain(_monitor):
        stage.stop_if(Kind.STARTED in stage.kinds())
        return Drained([])

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    daemon = Daemon(stage.parts)
    suppressed = RateLimiter(monotonic_ns(), 100, {"changed": 7}, 0)
    daemon._state.memory = daemon._state.memory._replace(rate_limiter=suppressed)
    assert daemon.run() == 0
    many = [event for event in stage.logged if event.kind is Kind.MANY]
    assert [event.fields["IPVSD_COUNT"] for event in many] == ["7"]


def test_loads_and_drifts_leave_no_memory_allocated(root, stage, monkeypatch):
    """Only Python's own caches grow, by less than a block of memory a cycle."""
    stage.parts = stage.parts._replace(send=lambda event: True)
    cycles = itertools.count(1)
    blocks = []

    def drain(_monitor):
        cycle = next(cycles)
        if cycle % 200 == 0:
            gc.collect()
            blocks.append(sys.getallocatedblocks())
        stage.stop_if(len(blocks) == 8)
        root.set("run_estimation", "1")
        return Drained(["remove", "add"] if cycle % 2 else ["change"])

    monkeypatch.setattr(FakeMonitor, "drain", drain)
    assert Daemon(stage.parts).run() == 0
    assert blocks[-1] - blocks[2] < 5 * 200, blocks


def test_a_real_monitor_reports_that_it_receives_nothing():
    monitor = Monitor()
    assert monitor.defect() is None
    keep = os.dup(monitor.fileno())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, monitor.fileno())
    try:
        assert monitor.defect()
        assert monitor.drain().error  # reported, not raised: the daemon then finds the defect
    finally:
        os.dup2(keep, monitor.fileno())
        os.close(keep)
        os.close(null)
    assert monitor.defect() is None
    del monitor
