"""A service whose sandbox is older than the folder of its metrics: it cannot write there."""

import os
import subprocess

import pytest

from ipvsd import cli
from ipvsd.commands import config
from ipvsd.model import Exit
from ipvsd.system import programs
from tests.fakeroot import FakeRoot


@pytest.fixture
def service(tmp_path):
    """Run a process that sees the folder read-only, as in a sandbox; return its PID."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    bind = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"{bind} && echo ready && read end"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize("named, words", [("service", "systemctl restart"), ("0", ""), ("me", "")])
def test_a_folder_that_is_newer_than_the_sandbox(
    service, tmp_path, monkeypatch, capsys, named, words
):
    root = FakeRoot(str(tmp_path / "root"))
    pid = {"service": service, "0": 0, "me": os.getpid()}[named]
    shown = f"LoadState=loaded\nMainPID={pid}\nProtectSystem=strict\n"
    shown += f"ReadWritePaths=-{tmp_path}/metrics\n"
    monkeypatch.setattr(programs, "unit_properties", lambda unit, names: shown)
    monkeypatch.setattr(config, "_REAL_ROOT", os.path.realpath(root.path))
    root.configure(f"[metrics]\ntextfile = {tmp_path}/metrics/x.prom\n")
    code = cli.main(["--root", root.path, "config", "--check"])
    err = capsys.readouterr().err
    assert code == (Exit.USAGE if words else Exit.AS_WANTED)
    assert words in err and bool(err) is bool(words)
