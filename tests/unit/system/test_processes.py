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


def test_the_own_cost_is_read():
    pytest.importorskip("psutil")
    usage = processes.own_usage()
    assert usage.resident_bytes > 2**20 and usage.cpu_ns > 0
    assert usage.age_ns > usage.cpu_ns / os.cpu_count() / 2
    assert usage.descriptors >= 3 and usage.threads >= 1


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
    assert processes.own_usage() is None
    assert processes.member(os.getpid()) is None
