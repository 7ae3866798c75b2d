"""The real program with closed, full and broken standard streams."""

import os
import subprocess
import sys

import pytest

import ipvsd
from ipvsd.model import Exit

HOME = os.path.dirname(os.path.dirname(ipvsd.__file__))
COMMANDS = [
    (["status"], 1),
    (["status", "--json"], 1),
    (["status", "--quiet"], 1),
    (["apply", "--dry-run"], 1),
    (["apply"], 0),
    (["config"], 0),
    (["stats", "--interval", "100ms"], 0),
    (["estimation", "off"], 0),
    (["measure", "--duration", "1s"], 5),  # there is no tracefs
]


@pytest.fixture
def run(root):
    root.load_ip_vs()

    def call(redirections, *words, stdout=subprocess.PIPE):
        """Run ipvsd with redirections of the shell; return its exit code and what stderr has."""
        command = [sys.executable, "-X", "dev", "-W", "error", "-m", "ipvsd", "--root", root.path]
        done = subprocess.run(
            ["bash", "-c", f'"$@" {redirections}', "bash", *command, *words],
            cwd=HOME,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        assert "unexpected" not in done.stderr and "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr and "Warning" not in done.stderr
        return done.returncode, done.stderr

    return call


@pytest.mark.parametrize("words, code", COMMANDS)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_exit_code(run, words, code, closed):
    assert run(closed, *words) == (code, "")


@pytest.mark.parametrize("words, code", COMMANDS)
def test_a_full_stderr_changes_no_exit_code(run, words, code):
    assert run("2>/dev/full", *words) == (code, "")


@pytest.mark.parametrize("words", [["doctor"], ["history"]])
def test_what_a_command_finds_does_not_depend_on_its_streams(run, words):
    code, _ = run("", *words)
    assert [run(how, *words)[0] for how in (">&-", "2>/dev/full", ">&- 2>&-")] == [code] * 3


@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", ">&- 2>&-", ">/dev/full 2>&-"])
@pytest.mark.parametrize("words", [["status", "--quiet"], ["config", "--check"], ["nonsense"], []])
def test_errors_that_nobody_can_read_keep_their_exit_code(root, run, redirections, words):
    root.configure("[guard]\nmode = maybe\n")
    assert run(redirections, *words) == (Exit.USAGE, "")


def test_warnings_that_nobody_can_read_do_not_keep_values_from_being_set(root, run):
    root.configure("[guard]\nresink = 3s\n")
    assert run("2>/dev/full", "apply") == (0, "")
    assert root.get() == "0"


@pytest.mark.parametrize(
    "words, code",
    [
        (["status"], 1),
        (["status", "--watch"], 1),
        (["status", "--watch", "--json"], 1),
        (["apply"], 5),
        (["config", "--json"], 5),
        (["stats", "--interval", "100ms", "--watch"], 5),
        (["apply", "--quiet"], 0),
        (["--version"], 5),
        (["--help"], 5),
    ],
)
def test_a_result_that_cannot_be_written_is_reported_after_the_work(root, run, words, code):
    found, errors = run(">/dev/full", *words)
    assert found == code
    lost = "--quiet" not in words
    assert errors == ("ipvsd: stdout: No space left on device\n" if lost else "")
    assert words[0] != "apply" or root.get() == "0"


@pytest.mark.parametrize(
    "words, code",
    [
        (["status"], 1),
        (["status", "--watch", "--interval", "100ms"], 1),
        (["apply"], 0),
        (["stats", "--watch", "--interval", "100ms"], 0),
        (["config", "--json"], 0),
        (["--help"], 0),
    ],
)
def test_a_reader_that_has_enough_changes_no_exit_code(root, run, words, code):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run("", *words, stdout=writing) == (code, "")
    finally:
        os.close(writing)
    assert words[0] != "apply" or root.get() == "0"


def test_no_file_takes_the_place_of_a_closed_stream(run, root):
    """A file that the command opens would else have the descriptor of stdout or stderr."""
    saved = os.path.join(root.path, "saved")
    assert run("<&- >&- 2>&-", "measure", "--duration", "1s", "--save", saved) == (5, "")
    with open(saved, encoding="utf-8") as file:
        assert file.read().startswith("{")


def test_the_daemon_closes_its_socket_to_the_journal(root):
    """As under systemd: stderr is the stream that $JOURNAL_STREAM names."""
    reading, writing = os.pipe()
    status = os.fstat(writing)
    environ = dict(os.environ, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    root.configure("[guard]\nmode = maybe\n")
    command = [sys.executable, "-X", "dev", "-m", "ipvsd", "--root", root.path, "run"]
    code = subprocess.call(command, cwd=HOME, env=environ, stderr=writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        errors = file.read()
    assert code == Exit.USAGE and "ResourceWarning" not in errors and "guard.conf:2" in errors
