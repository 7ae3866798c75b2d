"""Hostile text: parsers raise only documented errors, soon end, and use little memory."""

import contextlib
import gzip
import json
import lzma
import os
import re
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd import text
from ipvsd.config import options, parser, policy
from ipvsd.config.parser import Source
from ipvsd.doctor import check_ipvs_usage, check_sysctl_files, module_file
from ipvsd.doctor.file_syntax import File
from ipvsd.journal import entries
from ipvsd.kernel import estimation_runs, mounts, netns_births
from ipvsd.system import json_shape
from ipvsd.system.json_shape import Maybe
from tests import hostile
from tests.time_limits import in_alarm, in_time

# Texts that are known to break terminals, regular expressions, numbers and encodings.
_ODD = [
    b"\x1b[2J", b"\x9b31m", "\u009b".encode(), "\u202e".encode(), b"\xff", b"\n", b"\r", b"\0",
    b"\x7f", "\u00b2".encode(), "\u0661".encode(), b"9" * 400, b"9" * 5000, b"1" * 30, b"1 " * 30,
    b"[" * 3000, b"[z-a]", b"*" * 200, b"-1", b"1e400", b"NaN", b"Infinity", b"null", b"{", b"}",
    b'"', b"\\", b"%s{}", b"ipvsadm " * 300, b" - nsfs ", b"\xed\xb3\xbf", b"A" * 5000,
]  # fmt: skip


@st.composite
def mutated(draw, seeds):
    """Draw a text that a parser accepts, with some pieces of it replaced."""
    data = draw(st.sampled_from(seeds))
    piece = st.one_of(st.sampled_from(_ODD), st.binary(max_size=8))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(piece) + data[at + draw(st.integers(0, 40)) :]
    return data


@pytest.mark.parametrize("name", hostile.TARGETS)
def test_no_parser_fails_and_all_that_is_printed_is_text(name):
    seeds = hostile.TARGETS[name].seeds

    @given(st.one_of(st.just(seeds[0]), st.binary(), mutated(seeds), mutated(seeds)))
    def every(data):
        hostile.check(name, data)

    with in_time(60):
        every()


@pytest.mark.parametrize("name", hostile.TARGETS)
@pytest.mark.parametrize("odd", _ODD, ids=lambda odd: repr(odd[:8]))
def test_odd_text_is_harmless_alone_at_the_end_or_in_place_of_a_word(name, odd):
    with in_time():
        for seed in hostile.TARGETS[name].seeds:
            hostile.check(name, odd)
            hostile.check(name, seed + odd)
            for word in re.finditer(rb"\w+", seed):
                hostile.check(name, seed[: word.start()] + odd + seed[word.end() :])


MEGABYTE = 1024 * 1024
LONG = [
    ("a duration of digits", lambda: refused(text.parse_duration, "1" * 50 + "x")),
    ("a duration of blanks", lambda: refused(text.parse_duration, "1 " * 50 + "x")),
    ("a selector of stars", lambda: refused(options.selector, "name:" + "*a" * MEGABYTE, "x")),
    ("the longest selector that is accepted", lambda: policy.glob("*a" * 2000 + "b")("a" * 4096)),
    (
        "a configuration of unknown keys",
        lambda: parser.parse([Source("x", "[guard]\n" + "x=\n" * (MEGABYTE // 3))]),
    ),
    (
        "a crontab of one line",
        lambda: check_ipvs_usage.check_readers([], [File("x", "ipvsadm " * (MEGABYTE // 8))]),
    ),
    (
        "a sysctl file with a pattern of stars",
        lambda: check_sysctl_files.parse(File("x", "net.ipv4.vs." + "*" * 20 + "# = 1")),
    ),
    ("a journal entry of brackets", lambda: entries.parse("[" * MEGABYTE)),
    ("a document of brackets", lambda: refused(json_shape.parse, "[" * MEGABYTE)),
]


def refused(parse, *arguments):
    with pytest.raises(ValueError):
        parse(*arguments)


@pytest.mark.parametrize("why, parse", LONG, ids=[case[0] for case in LONG])
def test_no_text_takes_very_long(why, parse):
    with in_time():
        parse()


# --- what is large when it is unpacked


@contextlib.contextmanager
def in_memory(most):
    """Fail when more bytes are in use at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak} bytes"


class Module:
    """A fake root whose ip_vs is any file."""

    def __init__(self, root, suffix):
        self.root = root
        root.write("lib/modules/6/modules.dep", f"kernel/ip_vs.ko{suffix}: kernel/x.ko\n")
        self.path = root.join(f"lib/modules/6/kernel/ip_vs.ko{suffix}")
        os.makedirs(os.path.dirname(self.path))

    def inspect(self, data=None):
        if data is not None:
            with open(self.path, "wb") as file:
                file.write(data)
        return module_file.inspect(self.root.path, "6")


def packed_zeros(pack, megabytes):
    return b"".join([pack.compress(bytes(MEGABYTE)) for _ in range(megabytes)] + [pack.flush()])


class _Gzip:
    def __init__(self):

        self._pack = zlib.compressobj(wbits=31)
        self.compress, self.flush = self._pack.compress, self._pack.flush


@pytest.mark.parametrize("suffix, pack", [(".gz", _Gzip), (".xz", lzma.LZMACompressor)])
def test_a_module_file_that_is_a_bomb_is_never_in_memory(root, suffix, pack):
    data = packed_zeros(pack(), 130)
    assert len(data) < MEGABYTE
    with in_memory(12 * MEGABYTE), in_time(60):
        found = Module(root, suffix).inspect(data)
    assert found.has_setting is None and "larger than" in found.error


def test_a_large_module_file_is_never_in_memory(root):
    module = Module(root, "")
    with open(module.path, "wb") as file:
        file.truncate(1024**4)
    with in_memory(12 * MEGABYTE), in_time(60):
        found = module.inspect()
    assert found.has_setting is None and "larger than" in found.error


def test_xz_that_asks_for_gigabytes_is_refused(root):
    """liblzma would allocate at once as much as the header of the file asks for."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 16 * MEGABYTE}]
    data = bytearray(lzma.compress(b"run_estimation\0", filters=filters, check=lzma.CHECK_NONE))
    # A block's header: size, flags, filter, size of its properties, dictionary, padding, CRC32.
    assert data[12:16] == b"\x02\x00\x21\x01"
    data[16] = 40  # 4 GiB
    data[20:24] = zlib.crc32(bytes(data[12:20])).to_bytes(4, "little")
    found = Module(root, ".xz").inspect(bytes(data))
    assert found.has_setting is None and "emory" in found.error


@pytest.mark.parametrize("suffix, pack", [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_a_module_file_that_is_cut_short_is_reported(root, suffix, pack):
    data = pack(os.urandom(5000) + b"run_estimation\0")
    module = Module(root, suffix)
    assert module.inspect(data).has_setting is True
    for length in (1, 30, len(data) // 2, len(data) - 1):
        found = module.inspect(data[:length])
        assert (found.has_setting, bool(found.error)) == (None, True)


@pytest.mark.parametrize("at", range(-20, 3))
def test_a_name_across_two_pieces_is_found(root, at):
    piece = module_file._PIECE_BYTES
    data = bytes(piece + at) + b"run_estimation\0" + bytes(piece)
    assert Module(root, "").inspect(data).has_setting is True


@pytest.mark.parametrize("name", ["modules.dep", "kernel/ip_vs.ko"])
def test_a_fifo_is_not_waited_for(root, name):
    module = Module(root, "")
    path = root.join(f"lib/modules/6/{name}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.mkfifo(path)
    with in_alarm():
        assert module.inspect().has_setting is None


def test_a_huge_mount_table_is_never_in_memory(tmp_path):
    line = b"%d 27 0:4 net:[%d] /" + b"a/" * 1000 + b"%d rw - nsfs nsfs rw\n"
    path = tmp_path / "mountinfo"
    with open(str(path), "wb") as file:
        for number in range(10000):
            file.write(line % (number, 4026532000 + number % 2, number))
    assert path.stat().st_size > 19 * MEGABYTE
    with in_memory(MEGABYTE):
        found = mounts.read(str(path), 4).namespaces
    assert [one.mount_id for one in found] == list(range(8)), "the first mounts of each namespace"


# --- plain data that is read back

_SHAPE = {"a": int, "b": [str], "c": Maybe({str: (int, float)})}


@pytest.mark.parametrize(
    "why, change, place",
    [
        ("unchanged", {}, None),
        ("a further name", {"z": []}, None),
        ("null instead of a number", {"a": None}, "$.a"),
        ("a name is missing", {"b": [], "c": None, "a": ...}, "$.a"),
        ("a name whose value may be null is missing", {"c": ...}, "$.c"),
        ("a truth value is no number", {"a": True}, "$.a"),
        ("a fraction is no whole number", {"a": 1.0}, "$.a"),
        ("a number of more than 64 bits", {"a": 2**63}, "$.a"),
        ("a text instead of a list", {"b": "x"}, "$.b"),
        ("a number among texts", {"b": ["x", 1]}, "$.b[1]"),
        ("a list that is too short", {"c": {"x": [1]}}, "$.c.x"),
        ("not a number", {"c": {"x": [1, float("nan")]}}, "$.c.x[1]"),
        ("infinity", {"c": {"x": [1, float("inf")]}}, "$.c.x[1]"),
        ("null where it is allowed", {"c": None}, None),
        ("whole numbers where fractions are allowed", {"c": {"x": [1, 2]}}, None),
    ],
)
def test_a_document_has_its_shape_or_is_refused_with_the_place(why, change, place):
    document = dict({"a": 1, "b": ["x"], "c": {"x": [1, 0.5]}}, **change)
    document = {name: value for name, value in document.items() if value is not ...}
    if place is None:
        assert json_shape.load(json.dumps(document), _SHAPE) == document, why
    else:
        with pytest.raises(ValueError) as raised:
            json_shape.load(json.dumps(document), _SHAPE)
        assert str(raised.value) == f"is damaged at {place}", why


def test_the_texts_that_are_mutated_are_accepted():
    """A refused text would prove nothing: a parser refuses it at once."""
    (head, marks) = hostile.TARGETS["trace"].seeds
    births = netns_births.parse(head.split(b"\n"))
    assert births.births == 1 and births.first_ns is not None and births.writer
    assert all(map(estimation_runs.parse, marks.split(b"\n")))
    for name in ("status file", "measurement", "drop-in", "selector", "duration", "BTF"):
        for seed in hostile.TARGETS[name].seeds:
            said = " ".join(hostile.TARGETS[name].feed(seed)[:1])
            assert "damaged" not in said and " is no" not in said, name
    for name in ("statistics", "journal", "ping", "mountinfo", "hints", "CPU list", "module list"):
        for seed in hostile.TARGETS[name].seeds:
            assert any(hostile.TARGETS[name].feed(seed)), name
    (found,) = hostile.TARGETS["module, xz"].feed(hostile.TARGETS["module, xz"].seeds[0])
    assert "has_setting=True" in found
