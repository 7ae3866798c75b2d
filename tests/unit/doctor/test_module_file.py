"""The module file shows whether ip_vs will support run_estimation, before any load."""

import gzip
import io
import lzma
import os
import shutil
import subprocess

import pytest

from ipvsd.doctor import module_file
from ipvsd.model import Exit
from tests.unit.doctor_host import (
    KTHREAD_MODULE,
    OLD_MODULE,
    RELEASE,
    TIMER_MODULE,
    unwrapped,
)


def zstd(data):
    return subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", sorted(PACKERS))
@pytest.mark.parametrize(
    "data, code, words",
    [
        (OLD_MODULE, Exit.UNSUPPORTED, "not loaded yet, has no run_estimation"),
        (TIMER_MODULE, Exit.AS_WANTED, "estimation runs in a timer"),
        (KTHREAD_MODULE, Exit.AS_WANTED, "estimation runs in kernel threads"),
    ],
)
def test_the_module_file_shows_support_before_any_load(host, suffix, data, code, words):
    if suffix == ".zst" and shutil.which("zstd") is None:
        pytest.skip("no zstd to make such a module with")
    os.unlink(host.module(b""))
    path = host.module(PACKERS[suffix](data), suffix)
    found, out, _ = host.run()
    assert found == code and words in unwrapped(out) and path in out


@pytest.mark.parametrize(
    "data, expected", [(b"kthread_stop\0", False), (b"kthread_stop_put\0", True)]
)
def test_the_module_file_shows_a_fix_by_a_function_that_it_imports(data, expected):
    for before in range(20):  # the name lies across two pieces, at each place
        size = module_file._PIECE_BYTES - before
        file = io.BytesIO(b"\x7f" * size + data + b"\0")
        assert module_file.inspect_open("/x/ip_vs.ko", file).has_calc_fix is expected


BROKEN = [
    (".gz", b"nonsense"),
    (".gz", gzip.compress(TIMER_MODULE)[:20]),
    (".gz", gzip.compress(TIMER_MODULE)[:10] + b"\xff" * 20),
    (".xz", b"nonsense"),
    (".xz", lzma.compress(TIMER_MODULE)[:40]),
    (".zst", b"nonsense"),
]


# With explicit ids: gzip's data contains the time, and differs from one process to another.
@pytest.mark.parametrize(
    "suffix, data", BROKEN, ids=[f"{suffix}, {at}" for at, (suffix, _) in enumerate(BROKEN)]
)
def test_a_broken_module_file_is_a_hint(host, suffix, data):
    os.unlink(host.module(b""))
    host.module(data, suffix)
    code, document, findings = host.found("hint")
    assert (code, document["supported"]) == (Exit.AS_WANTED, None)
    assert any("is unknown" in finding["summary"] for finding in findings)


def test_without_zstd_the_message_says_what_is_needed(host, monkeypatch):
    monkeypatch.setattr(module_file, "_ZSTD_MODULE", "no_such_module")
    monkeypatch.setattr(module_file, "_ZSTD_COMMANDS", (("no-such-command",),))
    os.unlink(host.module(b""))
    host.module(b"x", ".zst")
    assert "the command zstd is needed" in unwrapped(host.run()[1])


@pytest.mark.parametrize("prepare", ["lib", "module"])
def test_no_module_is_a_hint(host, prepare):
    folder = host.root.join(f"lib/modules/{RELEASE}")
    if prepare == "lib":
        shutil.rmtree(folder)
    else:
        host.root.write(f"lib/modules/{RELEASE}/modules.dep", "kernel/a/ip_vs_rr.ko:\n")
    code, document, _ = host.found()
    assert (code, document["supported"]) == (Exit.AS_WANTED, None)
