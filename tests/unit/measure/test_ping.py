"""Parsing the output of ping(8), and ending it."""

import os
import stat
import sys
import time

import pytest

from ipvsd.measure import ping
from ipvsd.measure.ping import Ping
from ipvsd.measure.statistics import Probe
from ipvsd.model import NS_PER_MS, NS_PER_S, GuardError
from ipvsd.system.event_loop import monotonic_ns

# As iputils 20221126 and 20240905 print it in the C locale.
OUTPUT = """\
PING 10.99.0.1 (10.99.0.1) 56(84) bytes of data.
[1764012345.000100] 64 bytes from 10.99.0.1: icmp_seq=1 ttl=64 time=0.100 ms
[1764012345.025000] 64 bytes from 10.99.0.1: icmp_seq=3 ttl=64 time=5.12 ms
[1764012345.025000] 64 bytes from 10.99.0.1: icmp_seq=3 ttl=64 time=5.12 ms (DUP!)
[1764012346.000000] From 10.99.0.9 icmp_seq=4 Destination Host Unreachable

--- 10.99.0.1 ping statistics ---
4 packets transmitted, 2 received, +1 duplicates, 50% packet loss, time 30ms
rtt min/avg/max/mdev = 0.100/2.610/5.120/2.510 ms, pipe 2
"""
BASE_NS = 1764012345 * NS_PER_S


def test_output():
    found = ping.parse(OUTPUT)
    assert found.sent == 4
    assert found.probes == [
        Probe(BASE_NS, 100_000),
        Probe(BASE_NS + 25 * NS_PER_MS - 5_120_000, 5_120_000),
    ]


@pytest.mark.parametrize(
    "why, text, probes, sent",
    [
        ("nothing", "", 0, None),
        ("no such host", "ping: nowhere: Name or service not known\n", 0, None),
        ("no answers", "--- x ping statistics ---\n3 packets transmitted, 0 received\n", 0, 3),
        ("IPv6", "[1.000001] 64 bytes from ::1: icmp_seq=1 ttl=64 time=0.050 ms\n", 1, None),
        ("no stamps", "64 bytes from ::1: icmp_seq=1 ttl=64 time=0.050 ms\n", 0, None),
        ("whole", "[1.000001] 64 bytes from h (::1): icmp_seq=1 ttl=1 time=120 ms\n", 1, None),
        ("busybox", "64 bytes from 127.0.0.1: seq=0 ttl=64 time=0.063 ms\n", 0, None),
    ],
)
def test_other_output(why, text, probes, sent):
    found = ping.parse(text)
    assert (len(found.probes), found.sent) == (probes, sent), why


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def make(script, interpreter="/bin/sh"):
        path = tmp_path / "ping"
        if interpreter == "/bin/sh":
            script = f'[ "$1" != -V ] || exec echo ping from iputils 20221126\n{script}'
        path.write_text(f"#!{interpreter}\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return make


def wait_for(path):
    """Wait until a file has content."""
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


# In Python: a shell cannot catch a signal that was ignored at its start, as in the background.
SUMS_UP = """
import os, signal, sys, time

def sum_up(*_):
    print("2 packets transmitted", flush=True)
    os._exit(0)

signal.signal(signal.SIGINT, sum_up)
print(f"[{time.time():.6f}] 64 bytes from 127.0.0.1: icmp_seq=1 ttl=1 time=0.0 ms", flush=True)
with open(sys.argv[0] + ".words", "w") as file:
    file.write(" ".join(sys.argv[1:] + [os.environ["LC_ALL"]]))
while True:
    signal.pause()
"""


def test_a_run_ends_with_the_signal_that_makes_ping_sum_up(fake, tmp_path):
    fake(SUMS_UP, sys.executable)
    words = tmp_path / "ping.words"
    began_ns = monotonic_ns()
    run = Ping("-host", 10 * NS_PER_MS, 3 * NS_PER_S)
    wait_for(words)
    pings = run.stop()
    assert (pings.sent, pings.lost, pings.discarded, pings.own_address) == (2, 1, 0, True)
    assert began_ns <= pings.probes[0].sent_ns <= monotonic_ns()
    assert words.read_text() == "-n -D -i 0.010000 -w 8 -- -host C"


def test_a_ping_that_does_not_end_is_killed(fake, tmp_path):
    fake(f"trap '' INT\necho >{tmp_path}/ready; while :; do sleep 0.01; done\n")
    run = Ping("host", 10 * NS_PER_MS, NS_PER_S)
    wait_for(tmp_path / "ready")
    with pytest.raises(GuardError, match="ping host: printed nothing"):
        run.stop()


def test_an_error_of_ping_is_reported(fake):
    fake("echo 'ping: nowhere: Name or service not known' >&2; exit 2\n")
    run = Ping("nowhere", 10 * NS_PER_MS, NS_PER_S)
    run._process.wait()
    with pytest.raises(GuardError, match="ping nowhere: ping: nowhere: Name or service"):
        run.stop()


def test_without_ping(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GuardError, match="not the one of iputils.*install the package iputils"):
        Ping("host", 10 * NS_PER_MS, NS_PER_S)


# What a ping of others prints to options of iputils: busybox 1.36, inetutils 2.4.
OTHERS = {
    "busybox": """\
echo "ping: invalid option -- '$(echo "$1" | tr -d -)'
BusyBox v1.36.1 () multi-call binary.

Usage: ping [OPTIONS] HOST
	-p HEXBYTE	Payload pattern" >&2
exit 1
""",
    "inetutils": """\
[ "$1" = -V ] && echo 'ping (GNU inetutils) 2.4' && exit
echo "Try 'ping --help' or 'ping --usage' for more information." >&2
exit 64
""",
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_ping_is_refused_by_name(fake, tmp_path, name):
    fake("")
    (tmp_path / "ping").write_text(f"#!/bin/sh\n{OTHERS[name]}")
    run = Ping("127.0.0.1", 10 * NS_PER_MS, NS_PER_S)
    run._process.wait()
    with pytest.raises(GuardError, match="not the one of iputils, which --ping needs"):
        run.stop()
    with pytest.raises(GuardError, match="not the one of iputils, which --ping needs"):
        ping.check()


@pytest.mark.parametrize(
    "banner", ["ping from iputils 20221126", "ping utility, iputils-s20121221"]
)
def test_each_ping_of_iputils_is_accepted(fake, tmp_path, banner):
    fake("")
    (tmp_path / "ping").write_text(f"#!/bin/sh\necho {banner}\n")
    ping.check()


@pytest.mark.parametrize(
    "answer, address",
    [
        ("[1.000001] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.05 ms", "10.0.0.1"),
        ("[1.000001] 64 bytes from ::1: icmp_seq=1 ttl=64 time=0.05 ms", "::1"),
        ("[1.000001] 64 bytes from fe80::1%eth0: icmp_seq=1 ttl=64 time=0.05 ms", "fe80::1"),
        ("[1.000001] 64 bytes from h (::1): icmp_seq=1 ttl=64 time=0.05 ms", None),
        ("[1.000001] From 10.0.0.9 icmp_seq=4 Destination Host Unreachable", None),
    ],
)
def test_the_address_that_answers(answer, address):
    assert ping.parse(answer).address == address


def test_an_abandoned_ping_is_killed(fake):
    fake("while :; do sleep 0.01; done\n")
    run = Ping("host", 10 * NS_PER_MS, NS_PER_S)
    run.abandon()
    run.abandon()
    assert run._process.returncode == -9
