"""Estimation runs, read from the kernel's trace."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.kernel import btf, estimation_runs
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.kernel.estimation_runs import Mark, RunProbes, parse

PLACE = b"(estimation_timer+0x0/0x1d0 [ip_vs])"
RETURN = b"(call_timer_fn+0x27/0x130 <- estimation_timer)"


def line(event=b"begin_7", micros=0, cpu=0, pid=0, comm=b"<idle>", rest=PLACE):
    head = b"%16s-%-7d [%03d] ..s.. %5d.%06d: " % (comm, pid, cpu, micros // 10**6, micros % 10**6)
    return head + event + b": " + rest


def ended(**words):
    return line(b"end_7", rest=RETURN, **words)


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("without detail", line(micros=1500000), Mark(True, 1_500_000_000, 0, 0, None, None)),
        (
            "with detail",
            line(rest=PLACE + b" run=1 inode=4026531840"),
            Mark(True, 0, 0, 0, True, 4026531840),
        ),
        (
            "which timer",
            line(rest=PLACE + b" timer=0xffff8e0c41c15488"),
            Mark(True, 0, 0, 0, None, None, b"0xffff8e0c41c15488"),
        ),
        ("no work", line(rest=PLACE + b" run=0 inode=7"), Mark(True, 0, 0, 0, False, 7)),
        ("an end", ended(cpu=3, pid=9), Mark(False, 0, 3, 9, None, None)),
        ("another event", line(b"birth"), None),
        ("lost events", b"CPU:1 [LOST 12 EVENTS]", None),
        ("nothing", b"", None),
    ],
)
def test_a_line(why, text, expected):
    assert parse(text) == expected, why


@given(st.binary(max_size=15))
def test_no_comm_can_fake_a_run(comm):
    found = [parse(part) for part in line(comm=comm, micros=5).splitlines()]
    assert [mark for mark in found if mark] in ([], [Mark(True, 5000, 0, 0, None, None)])


class Piped(RunProbes):
    """Probes that read a pipe instead of the trace."""

    def __init__(self):
        self._pipe, self._end_of_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._open = {}
        self._unread = 0
        self._timers = set()

    def feed(self, *lines):
        os.write(self._end_of_pipe, b"\n".join(lines) + b"\n")
        return self.take()

    def close(self):
        os.close(self._pipe)
        os.close(self._end_of_pipe)


@pytest.fixture
def piped():
    made = Piped()
    yield made
    made.close()


def test_a_run_is_from_its_begin_to_its_end(piped):
    assert piped.feed(line(micros=10, rest=PLACE + b" run=1 inode=7")) == []
    assert piped.feed(ended(micros=35)) == [EstimationRun(10_000, 25_000, 0, True, 7, 0)]


def test_cpus_whose_idle_tasks_are_interrupted_are_distinguished(piped):
    found = piped.feed(
        line(micros=1, cpu=0), line(micros=2, cpu=1), ended(micros=9, cpu=0), ended(micros=5, cpu=1)
    )
    assert [(one.cpu, one.start_ns, one.duration_ns) for one in found] == [
        (0, 1000, 8000),
        (1, 2000, 3000),
    ]


def test_a_thread_that_moves_is_followed(piped):
    """The CPU on which the run ends counts, since no event reports the move."""
    (found,) = piped.feed(line(micros=1, cpu=0, pid=99), ended(micros=4, cpu=1, pid=99))
    assert (found.cpu, found.duration_ns, found.thread) == (1, 3000, 99)


def test_a_run_under_way_at_the_beginning_does_not_count(piped):
    assert piped.feed(ended(micros=5)) == []
    assert len(piped.feed(line(micros=6), ended(micros=7))) == 1


def test_unreadable_lines_count_as_lost_and_lost_lines_do_not(piped):
    piped.feed(b"CPU:1 [LOST 12 EVENTS]", b"garbage")
    assert piped._unread == 1


def test_without_tracefs_probes_are_unavailable_and_removing_does_nothing(root):
    with pytest.raises(OSError):
        RunProbes(root.path, kthreads=False)
    assert estimation_runs.remove(root.path, 1)


TRACING = "sys/kernel/tracing"


def test_an_instance_in_use_is_left_and_reported(root):
    root.write(TRACING + "/kprobe_events", "")
    busy = root.join(f"{TRACING}/instances/ipvsd-measure-7/in-use")
    os.makedirs(busy)
    assert not estimation_runs.remove(root.path, 7)
    root.write("proc/sys/kernel/ftrace_enabled", "0\n")
    assert estimation_runs.remove(
        root.path, 7
    )  # it cannot succeed now, so that nobody waits for it
    assert os.path.isdir(busy)
    root.write("proc/sys/kernel/ftrace_enabled", "1\n")
    os.rmdir(busy)
    assert estimation_runs.remove(root.path, 7)


def test_leftovers_of_dead_processes_only_are_removed(root):
    root.write(TRACING + "/kprobe_events", "")
    dead, alive = "ipvsd-measure-999999999", f"ipvsd-measure-{os.getpid()}"
    for name in (dead, alive, "ipvs-estoff-guard"):
        os.makedirs(root.join(f"{TRACING}/instances/{name}"))
    estimation_runs.remove_leftovers(root.path)
    left = sorted(os.listdir(root.join(TRACING + "/instances")))
    assert left == ["ipvs-estoff-guard", alive]
    written = root.read(TRACING + "/kprobe_events").split()
    assert written == [f"-:ipvsd_measure/{name}_999999999" for name in ("begin", "end", "proof")]


def test_without_btf_a_probe_reads_no_arguments(root):
    assert estimation_runs._arguments(root.path) is None


def test_the_arguments_of_a_probe_are_read_from_the_timer(root, monkeypatch):
    members = {
        "netns_ipvs": {"sysctl_run_estimation": 1880, "est_timer": 1952, "net": 2160},
        "net": {"ns": 128},
        "ns_common": {"inum": 16},
    }
    monkeypatch.setattr(btf, "members", lambda *_words: members)
    assert estimation_runs._arguments(root.path) == "run=-72($arg1):s32 inode=+144(+208($arg1)):u32"


class Defined(Piped):
    """Probes that are only written down."""

    def __init__(self, root):
        self._root, self.detailed, self._trace = root.path, False, self
        self._begin, self._end, self.places = "begin", "end", []

    def define(self, text):
        self.places.append(text)


@pytest.mark.parametrize(
    "symbols, kthreads, function",
    [
        ("t estimation_timer\t[ip_vs]", False, "estimation_timer"),
        ("t estimation_work\t[ip_vs]", False, "estimation_work"),
        ("t estimation_work\t[other]", False, "estimation_timer"),
        ("t ip_vs_chain_estimation\t[ip_vs]", True, "ip_vs_chain_estimation"),
    ],
)
def test_the_probes_are_at_the_function_that_this_ip_vs_has(root, symbols, kthreads, function):
    root.write("proc/kallsyms", f"0000000000000000 {symbols}\n")
    probes = Defined(root)
    probes._set_probes(kthreads)
    begin, end = [place.split()[:2] for place in probes.places]
    assert begin == ["p:begin", f"ip_vs:{function}"] and end == ["r:end", f"ip_vs:{function}"]


def test_each_timer_that_has_ticked_is_told_once(piped):
    begins = [line(rest=PLACE + b" timer=0x%x" % number) for number in (1, 2, 1)]
    piped.feed(*begins)
    piped.take()
    assert piped.take_timers() == {b"0x1", b"0x2"}
    assert piped.take_timers() == set(), "only those since the last call"
