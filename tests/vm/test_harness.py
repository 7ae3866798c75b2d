"""The harness itself: its channel is exact and survives failures in the guest."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .command import CommandFailed, CommandTimeout
from .machine import Machine, UnitFailed

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("bookworm")]

ALL_BYTES = bytes(range(256))
LARGE = 5_000_000


@pytest.fixture
def machine(machine_for: Callable[[str], Machine]) -> Machine:
    return machine_for("bookworm")


def test_boot_is_complete(machine: Machine) -> None:
    assert machine.succeed("systemctl is-system-running") == "running\n"


def test_streams_and_status_are_exact(machine: Machine) -> None:
    result = machine.execute("printf ' a\\n\\n'; printf 'é ' >&2; exit 7")
    assert (result.stdout, result.stderr, result.status) == (" a\n\n", "é ", 7)


@pytest.mark.parametrize(("signal", "status"), [("TERM", 143), ("KILL", 137), ("SEGV", 139)])
def test_the_status_after_a_signal_is_that_of_a_shell(
    machine: Machine, signal: str, status: int
) -> None:
    assert machine.execute(f"kill -{signal} $$").status == status


def test_environment(machine: Machine) -> None:
    seen = machine.succeed("echo $HOME $LC_ALL; command -v modprobe; cat /proc/$$/oom_score_adj")
    assert seen == "/root C.UTF-8\n/usr/sbin/modprobe\n0\n"


def test_input_is_binary(machine: Machine) -> None:
    shown = machine.succeed("od -An -v -t u1", input=ALL_BYTES)
    assert bytes(map(int, shown.split())) == ALL_BYTES


def test_large_output_and_input(machine: Machine) -> None:
    assert len(machine.succeed(f"head -c {LARGE} /dev/zero | tr '\\0' x")) == LARGE
    assert int(machine.succeed("wc -c", input=b"x" * LARGE)) == LARGE


def test_a_command_too_long_for_the_kernel(machine: Machine) -> None:
    assert machine.execute(": " + "x" * 200_000).status == 126


def test_succeed_and_fail_show_everything(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)echo out.*status: 3.*stdout: out.*stderr: err"):
        machine.succeed("echo out; echo err >&2; exit 3")
    assert machine.fail("echo out; false") == "out\n"
    with pytest.raises(CommandFailed, match="must fail"):
        machine.fail("true")


def test_a_tree_is_the_same_after_copying_in_and_out(machine: Machine, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "data").write_bytes(ALL_BYTES)
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o750)
    (tree / "link").symlink_to("sub/data")
    machine.copy_in(tree, "/srv/new/tree")
    assert machine.succeed("stat -c '%U %a' /srv/new/tree/run.sh") == "root 750\n"
    machine.copy_out("/srv/new/tree", tmp_path / "back")
    assert (tmp_path / "back" / "sub" / "data").read_bytes() == ALL_BYTES
    assert os.readlink(tmp_path / "back" / "link") == "sub/data"
    machine.copy_in(tree / "sub" / "data", "/srv/file")
    machine.copy_out("/srv/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == ALL_BYTES
    with pytest.raises(CommandFailed, match="No such file"):
        machine.copy_out("/srv/nothing", tmp_path / "nothing")


def test_wait_until_succeeds(machine: Machine) -> None:
    job = machine.start_background("sleep 1; echo there >/run/late")
    assert machine.wait_until_succeeds("cat /run/late", timeout=30) == "there\n"
    assert job.wait().status == 0
    with pytest.raises(CommandFailed, match=r"(?s)still failing after 1 s.*status: 1"):
        machine.wait_until_succeeds("false", timeout=1)


def test_wait_for_unit(machine: Machine) -> None:
    machine.succeed("systemd-run --unit=good sleep infinity")
    machine.wait_for_unit("good.service")
    machine.succeed("systemd-run --unit=bad sh -c 'echo last words; exit 1'")
    started = time.monotonic()
    with pytest.raises(UnitFailed, match=r"(?s)bad\.service has failed.*last words"):
        machine.wait_for_unit("bad.service", timeout=60)
    assert time.monotonic() - started < 30
    machine.succeed("systemctl stop good; systemctl reset-failed")


def test_journal(machine: Machine) -> None:
    cursor = machine.journal_cursor()
    machine.succeed("logger --tag harness-test 'only line'")
    mine = [e for e in machine.journal(since_cursor=cursor) if e["MESSAGE"] == "only line"]
    assert [entry["SYSLOG_IDENTIFIER"] for entry in mine] == ["harness-test"]


def test_commands_run_side_by_side(machine: Machine) -> None:
    machine.succeed("mkfifo /run/pipe")
    reader = machine.start_background("cat /run/pipe")
    writer = threading.Thread(target=machine.succeed, args=["echo hello >/run/pipe"])
    writer.start()
    assert reader.wait(30).stdout == "hello\n"
    writer.join()


def test_a_command_that_takes_too_long_is_killed(machine: Machine) -> None:
    with pytest.raises(CommandTimeout, match=r"(?s)status: 137.*stdout: begun"):
        machine.execute("echo begun; sleep 1234; true", timeout=1)
    machine.fail("pgrep -f 'sleep 123[4]'")


@pytest.mark.parametrize(
    "storm",
    [
        "systemctl kill --signal=KILL systemd-udevd && udevadm trigger && udevadm settle",
        "systemctl stop systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd"
        " && udevadm trigger; systemctl start systemd-udevd && udevadm settle",
        "systemctl daemon-reexec",
        "systemctl restart systemd-journald",
    ],
)
def test_the_channel_survives(machine: Machine, storm: str) -> None:
    machine.succeed(storm)
    assert machine.succeed("echo alive") == "alive\n"
