"""`ipvsd report`: one file with all parts, for whoever started it, and without secrets."""

import os
import stat
import subprocess
import sys

from tests.process.daemon_process import HOME

HOOK = (
    "install ip_vs /sbin/modprobe --ignore-install ip_vs && curl --password hunter2 http://x && "
    "sysctl -w net.ipv4.vs.run_estimation=0\n"
)


def report(root, folder, *arguments):
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "report", *arguments]
    return subprocess.run(
        command,
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=HOME),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
    )


def test_the_report_has_each_part_and_no_secret(root, tmp_path):
    root.load_ip_vs()
    root.write("etc/modprobe.d/old.conf", HOOK)
    done = report(root, tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("ipvs-estoff-guard-report-*.txt")
    assert str(path) in done.stdout.decode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    # Each command ran on the same root: it saw the hook, and the value there.
    assert "old.conf:1: install ip_vs" in text and "curl --password (left out)" in text
    assert "proc/sys/net/ipv4/vs/run_estimation: 1" in text
    for title in ("doctor", "verify", "status --all", "stats", "config", "history"):
        assert f"\n== ipvsd {title}" in text
    assert "usage:" not in text and "Traceback" not in text


def test_the_report_goes_to_the_standard_output_or_a_named_file(root, tmp_path):
    named = tmp_path / "x.txt"
    assert report(root, tmp_path, str(named)).returncode == 0
    shown = report(root, tmp_path, "-").stdout.decode()
    assert [line for line in shown.splitlines() if line.startswith("==")] == [
        line for line in named.read_text().splitlines() if line.startswith("==")
    ]


def test_a_folder_that_does_not_exist_is_one_line_and_leaves_nothing(root, tmp_path):
    done = report(root, tmp_path, "missing/x.txt")
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.decode() == "ipvsd: missing/x.txt: cannot be written\n"
    assert not list(tmp_path.glob("*.txt"))
