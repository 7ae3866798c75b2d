"""Facts about processes, read with psutil, and unknown without it."""

import os
import subprocess
import sys
import time

import pytest

from ipvsd.system import processes


@pytest.fixture
def without_psutil(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"]) as started:
        yield started
        started.kill()


def test_the_usage_is_the_sum_of_all_processes(child):
    alone = processes.usage([os.getpid()])
    assert alone.resident_bytes > 2**20 and alone.cpu_ns > 0
    assert alone.age_ns > alone.cpu_ns / os.cpu_count() / 2
    assert alone.descriptors == len(os.listdir("/proc/self/fd")) - 1
    assert (alone.threads, alone.processes) == (len(os.listdir("/proc/self/task")), 1)
    both = processes.usage([os.getpid(), child.pid])
    assert both.resident_bytes < alone.resident_bytes + 2**20, "of the first process only"
    assert both.pss_bytes > alone.pss_bytes > 2**20
    assert both.descriptors == alone.descriptors + len(os.listdir(f"/proc/{child.pid}/fd"))
    assert (both.threads, both.processes) == (alone.threads + 1, 2)


def test_a_process_that_has_ended_counts_in_the_time_of_its_parent(child):
    code = "import time\nwhile time.process_time() < 0.2: pass"
    before = processes.usage([os.getpid()])
    with subprocess.Popen([sys.executable, "-c", code]) as busy:
        busy.wait()
        after = processes.usage([os.getpid(), busy.pid])
    assert after.cpu_ns - before.cpu_ns >= 190 * 10**6 and after.processes == 1


def test_where_the_kernel_reports_no_pss_it_is_unknown(monkeypatch, tmp_path):
    pid = os.getpid()
    folder = tmp_path / str(pid)
    (folder / "fd").mkdir(parents=True)
    with open("/proc/self/stat", encoding="latin-1") as file:
        (folder / "stat").write_text(file.read(), "latin-1")
    (tmp_path / "uptime").write_text("1e9 1", "ascii")
    monkeypatch.setattr(processes, "_PROC", str(tmp_path))
    assert processes.usage([pid]).pss_bytes is None


def test_a_member_has_its_user_and_start_time():
    pytest.importorskip("psutil")
    before_s = time.time()
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            member = processes.member(child.pid)
        finally:
            child.kill()
    assert member.user == ("root" if os.geteuid() == 0 else member.user)
    # The kernel reports the start in hundredths of a second since boot.
    assert before_s - 1 < member.started_s < time.time() + 1
    assert processes.member(child.pid) is None, "the process has ended"


def test_without_psutil_nothing_is_known(without_psutil):
    assert not processes.available()
    assert processes.member(os.getpid()) is None
