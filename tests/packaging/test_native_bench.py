"""The native bench, with a few real namespaces."""

import os
import select
import signal
import subprocess
import sys
import time

import pytest

from lab.bench import native
from lab.bench.native_guard import SYSCTL_FILE, descendants, spent_usec
from tests.packaging.conftest import ROOT

TIMEOUT_S = 30


@pytest.fixture(autouse=True)
def root_rights():
    """Fail without root; a skipped test would prove nothing."""
    assert os.geteuid() == 0, "the native bench makes network namespaces: run it as root"


def machine():
    """Return what the bench must not change."""
    mounts = [line.split(maxsplit=4)[4] for line in open("/proc/self/mountinfo")]
    return mounts, open(SYSCTL_FILE).read(), os.path.exists("/run/visits")


def test_every_contender_sets_all_and_the_machine_stays_as_it_was():
    before = machine()
    found = native.measure(native.Plan((3, 5), 1, 10, (2,), 0.01))
    assert {
        count: {name: [one["set"] for one in samples] for name, samples in ways.items()}
        for count, ways in found["counts"].items()
    } == {
        count: {
            name: [int(count)] for name in (native.GUARD, native.PROC, native.DETACHED, native.IP)
        }
        for count in ("3", "5")
    }
    samples = [one for ways in found["counts"]["5"].values() for one in ways]
    assert all(one["cpu_usec"] > 0 and one["wall_usec"] > 0 for one in samples)
    assert found["counts"]["5"][native.DETACHED][0]["instances"] == 1
    assert found["beside_mounts"]["2"]["sweeps"][0]["instances"] == 3
    assert found["beside_mounts"]["2"]["mounts"] > 0
    assert machine() == before


def test_what_it_makes_ends_with_it_when_it_is_killed():
    script = "from lab.bench import native; native.measure(native.Plan((40,), 10**6, 10, (), 0))"
    child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        end_s = time.monotonic() + TIMEOUT_S
        while len(made := descendants(child.pid)) < 40:
            assert child.poll() is None and time.monotonic() < end_s, made
            os.sched_yield()
        ends = [os.pidfd_open(pid) for pid in made if os.path.exists(f"/proc/{pid}")]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    for end in ends:
        # A descriptor of a process is readable when the process has ended.
        assert select.select([end], [], [], TIMEOUT_S)[0], "a process of the bench is still there"
        os.close(end)


def test_a_slow_machine_gets_one_round():
    found = native.measure(native.Plan((1,), 10**6, 1, (), 0, limit_s=0))
    assert {len(samples) for samples in found["counts"]["1"].values()} == {1}


BUSY = """
import time
while time.process_time() < 0.3:
    pass
print("ready", flush=True)
input()
"""


def test_the_cpu_time_of_worker_processes_is_counted_while_they_live_and_afterwards():
    before_usec = spent_usec()
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=pipe, stdout=pipe) as child:
        assert child.stdout.readline() == b"ready\n"
        assert child.pid in descendants(os.getpid())
        alive_usec = spent_usec()
        child.communicate(b"\n")
    assert alive_usec - before_usec >= 300_000
    assert spent_usec() >= alive_usec


def test_without_root_it_says_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PermissionError, match="run it as root"):
        native.measure(native.Plan((1,), 1, 1, (), 0))
