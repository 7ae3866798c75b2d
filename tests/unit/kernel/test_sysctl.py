"""Reading and writing a sysctl, on a fake root."""

import os
import shutil
import time

import pytest

from ipvsd.config import sysctl_values
from ipvsd.kernel.sysctl import Sysctls
from ipvsd.model import Found, Namespace, Reason, Write

RUN = "net.ipv4.vs.run_estimation"

HOST = Namespace(4, 1, "host")

WRITE = Write(HOST, RUN, "1", "0", Reason.LOAD)


def test_a_value_is_read_without_its_line_end(root):
    root.load_ip_vs(sync_threshold="3\t50")
    with Sysctls(root.path) as sysctls:
        assert sysctls.read("net.ipv4.vs.sync_threshold").value == "3\t50"


@pytest.mark.parametrize(
    "why, make, expected",
    [
        ("not loaded", lambda root: None, Found.NO_TREE),
        ("kernel without the key", lambda root: root.load_ip_vs(am_droprate="10"), Found.NO_KEY),
        (
            "an empty folder, as a namespace of another user namespace shows",
            lambda root: os.makedirs(root.join("proc/sys/net/ipv4/vs")),
            Found.NO_TREE,
        ),
        (
            "no /proc/sys/net at all",
            lambda root: os.renames(root.join("proc/sys/net/ipv4"), root.join("elsewhere/ipv4")),
            Found.FAILED,
        ),
        (
            "not a file",
            lambda root: os.makedirs(root.join("proc/sys/net/ipv4/vs/run_estimation")),
            Found.FAILED,
        ),
    ],
)
def test_reasons_for_a_missing_value_are_distinguished(root, why, make, expected):
    make(root)
    with Sysctls(root.path) as sysctls:
        assert sysctls.read(RUN).found is expected, why


def test_a_write_is_read_back(root):
    root.load_ip_vs()
    before_ns = int(time.monotonic() * 1e9)
    with Sysctls(root.path) as sysctls:
        outcome = sysctls.write(WRITE, sysctl_values.same)
    assert root.read("proc/sys/net/ipv4/vs/run_estimation").strip() == "0"
    assert outcome.after.value == "0" and not outcome.error
    assert before_ns <= outcome.written_ns <= int(time.monotonic() * 1e9)


def test_a_right_value_is_not_written_again(root):
    root.load_ip_vs(run_estimation="0")
    path = root.join("proc/sys/net/ipv4/vs/run_estimation")
    os.utime(path, ns=(1, 1))
    with Sysctls(root.path) as sysctls:
        outcome = sysctls.write(WRITE, sysctl_values.same)
    assert outcome.written_ns is None and outcome.after.value == "0"
    assert os.stat(path).st_mtime_ns == 1


def test_the_folder_is_searched_for_again_after_another_load(root):
    folder = root.join("proc/sys/net/ipv4/vs")
    root.load_ip_vs(run_estimation="0")
    with Sysctls(root.path) as sysctls:
        assert sysctls.has(RUN)
        shutil.rmtree(folder)
        assert not sysctls.has(RUN)
        assert sysctls.read(RUN).found is Found.NO_TREE
        root.load_ip_vs(run_estimation="1")
        assert sysctls.read(RUN).value == "1"


def test_a_file_that_vanished_is_no_error(root):
    with Sysctls(root.path) as sysctls:
        outcome = sysctls.write(WRITE, sysctl_values.same)
    assert outcome.after.found is Found.NO_TREE and not outcome.error
