"""Births, read from the kernel's trace, where any process chooses the comm of its lines."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.kernel.netns_births import BirthEvents, BirthProbe, parse

TAIL = b"-1234    [001] ..... %d.%06d: birth: (create_new_namespaces+0x5f/0x2b0 <- copy_net_ns)\n"


def line(comm=b"ip", seconds=12, micros=345678):
    return comm.rjust(16) + TAIL % (seconds, micros)


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("a plain one", line(), 12_345_678_000),
        ("with the thread group", b"%16s-77 (     76) [000] d..2. 1.5: birth: (x)" % b"a", None),
        (
            "with the thread group, six digits",
            b"%16s-77      (     76) [000] d..2.     1.500000: birth: (x)" % b"a",
            1_500_000_000,
        ),
        (
            "with an unknown thread group",
            b"%16s-77      (-------) [000] d..2.     1.500000: birth: (x)" % b"a",
            1_500_000_000,
        ),
        ("blanks in the comm", line(b"a b  c"), 12_345_678_000),
        ("a comm that looks like a line", line(b"-1 [0] . 1.00000"), 12_345_678_000),
        ("a comm that is a line's end", line(b"birth: 9.999999:"), 12_345_678_000),
        ("all columns used", line(b"x" * 16), 12_345_678_000),
        ("no text in any encoding", line(b"\xff\x00\x1b[2J"), 12_345_678_000),
        ("lost events", b"CPU:1 [LOST 12 EVENTS]", None),
        ("another event", line().replace(b"birth", b"death"), None),
        ("nothing", b"", None),
        ("the rest of a comm with a line end", line(b"a\nb").split(b"\n")[1], None),
    ],
)
def test_the_time_of_a_line(why, text, expected):
    found = parse([text])
    assert (found.births, found.first_ns) == (1, expected), why
    assert set(found.tasks.values()) == set(filter(None, [expected])), why


_PIECES = [b" ", b"-", b"1", b"[0]", b".....", b"1.000000:", b" birth:", b" write:", b"\r", line()]


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(_PIECES)).map(b"".join)))
def test_no_text_raises(text):
    events = parse(text.splitlines())
    assert events.births + len(events.born) <= len(text.splitlines())


def write_line(comm, pid):
    return comm.rjust(16) + b"-%-7d [001] ..... 12.345678: write: (proc_sys_write+0x0/0x10)" % pid


@pytest.mark.parametrize(
    "why, lines, births, writer",
    [
        ("a write is no birth", [write_line(b"tuned", 999999999)], 0, "tuned (pid 999999999)"),
        ("a write of the guard itself", [write_line(b"ipvsd", os.getpid())], 0, ""),
        (
            "the last of two writers",
            [write_line(b"a", 999999998), write_line(b"b", 999999999)],
            0,
            "b (pid 999999999)",
        ),
        ("a comm that claims a birth", [write_line(b"1.000000: birth:", 999999999)], 0, None),
        ("a comm that claims a write", [line(b" 1.00000: write:")], 1, ""),
        ("a comm that is no text", [write_line(b"\xff\x1b", 999999999)], 0, None),
    ],
)
def test_the_last_writer_is_reported(why, lines, births, writer):
    events = parse(lines)
    assert events.births == births, why
    assert writer is None or events.writer == writer, why
    assert len(events.writer) < 40


def test_what_the_guards_children_do_is_its_own_doing():
    lines = [write_line(b"ipvsd-visit", 999999998), write_line(b"x", 999999999)]
    pid = int(re.search(rb"-(\d+) ", line()).group(1))
    assert parse([line()], {pid}).own and not parse([line()], {pid + 1}).own
    assert parse(lines, {999999999}).writer == "ipvsd-visit (pid 999999998)"
    assert parse(lines, {999999998, 999999999}).writer == ""


@given(st.binary(max_size=16), st.integers(0, 10**6), st.integers(0, 999_999))
def test_no_comm_changes_the_time_or_makes_one_up(comm, seconds, micros):
    """A comm with a line end can hide the time, but no comm can claim an earlier birth.

    The kernel's comm has 15 bytes; the columns have room for 16.
    """
    parts = line(comm, seconds, micros).splitlines()
    times = [parse([part]).first_ns for part in parts]
    known = [time for time in times if time is not None]
    assert known in ([], [seconds * 10**9 + micros * 1000])
    assert parse(parts).writer == ""
    assert known or b"\n" in comm or b"\r" in comm


HOST = 4026531992
LOADER, OTHER = 77, 78


def added(pid, inode, micros=0):
    """Return the line of a namespace that gets ip_vs, where the probe records whose it is."""
    return b'%16s-%-7d [001] d..1.    12.%06d: birth: (x) path="net/ipv4/vs" inode=%d\n' % (
        b"modprobe",
        pid,
        micros,
        inode,
    )


class Piped(BirthProbe):
    """A probe that reads a pipe instead of the trace."""

    def __init__(self):
        self._pipe, self._end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._host, self._loader = HOST, 0

    def feed(self, data):
        os.write(self._end, data)

    def end(self):
        os.close(self._end)

    def close(self):
        os.close(self._pipe)


@pytest.fixture
def births():
    made = Piped()
    yield made
    made.close()
    made.end()


def test_what_the_task_that_loads_ip_vs_causes_is_no_birth(births):
    births.feed(added(OTHER, 5) + added(LOADER, HOST, 1) + added(LOADER, 6, 2))
    found = births.drain(loading=True)
    assert (found.births, list(found.born), list(found.tasks)) == (0, [5], [OTHER])
    assert found.loaded_into == {HOST: 12_000_001_000, 6: 12_000_002_000}
    births.feed(added(LOADER, 7))
    found = births.drain(loading=False)
    assert found == BirthEvents(loaded_into={7: 12_000_000_000}) and not found.is_news
    births.feed(added(LOADER, 8))
    assert births.drain().born == {8: 12_000_000_000}, "the load has ended"


def test_where_no_probe_records_whose_birth_it_is_a_load_looks_like_births(births):
    births.feed(line() + line())
    assert births.drain(loading=True).births == 2 and BirthEvents().is_news


def test_no_line_is_no_birth(births):
    assert births.drain() == BirthEvents(0, None)


def test_births_are_counted_and_the_first_is_kept(births):
    births.feed(line(seconds=30) + line(seconds=20) + line(seconds=40))
    assert births.drain() == BirthEvents(3, 20_345_678_000, tasks={1234: 40_345_678_000})
    assert births.drain() == BirthEvents(0, None)


def test_a_comm_with_line_ends_is_never_less_than_one_birth(births):
    births.feed(line(b"\n\nbirth:\n"))
    events = births.drain()
    assert events.births >= 1 and events.first_ns is None


def test_one_birth_without_a_time_leaves_the_first_time_unknown(births):
    """That birth may be the first one, so the time of another is no bound for it."""
    births.feed(line(seconds=30) + line(b"a\nb", seconds=20))
    assert births.drain().first_ns is None


def test_a_flood_of_births_is_drained_completely(births):
    births.feed(line() * 500)
    assert births.drain().births == 500


def test_a_pipe_that_has_ended_does_not_hang():
    made = Piped()
    made.end()
    assert made.drain() == BirthEvents(0, None)
    made.close()


def test_a_read_error_is_raised():
    made = Piped()
    made.end()
    keep = os.dup(made.fileno())
    folder = os.open("/", os.O_RDONLY)
    os.dup2(folder, made.fileno())
    with pytest.raises(OSError):
        made.drain()
    os.close(folder)
    os.close(keep)
    made.close()


TRACING = "sys/kernel/tracing"


def test_without_tracefs_the_probe_is_unavailable_and_nothing_is_left(root):
    with pytest.raises(OSError) as refused:
        BirthProbe(root.path)
    assert refused.value.filename == root.join(TRACING + "/kprobe_events")


def test_a_tracefs_that_takes_no_instance_is_left_as_it_was(root):
    """The instance stays a plain folder here; the kernel would fill it with files."""
    root.write(TRACING + "/kprobe_events", "p:somebody/elses do_exit\n")
    os.makedirs(root.join(TRACING + "/instances"))
    with pytest.raises(OSError):
        BirthProbe(root.path)
    assert os.listdir(root.join(TRACING + "/instances")) == []
    assert root.read(TRACING + "/kprobe_events").startswith("p:somebody/elses do_exit\n")


def test_what_is_unknown_is_scanned_for_and_not_only_looked_for():
    found = BirthEvents(1, 7, born={5: 9}, tasks={OTHER: 7}).with_unknown()
    assert found == BirthEvents(2, None, born={5: 9})
