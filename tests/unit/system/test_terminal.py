"""Pages and progress, on a terminal and on other outputs."""

import fcntl
import io
import os
import pty
import struct
import termios

import pytest

from ipvsd.system.terminal import Progress, Screen, Size, bar, page, size


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_page_is_cut_to_the_terminal_and_clears_the_page_before():
    drawn = page(["abcdef", "x", "y"], Size(4, 3))
    assert drawn == "\x1b[Habcd\x1b[K\nx\x1b[K\n\x1b[J"


def test_wide_characters_are_cut_by_columns():
    assert page(["\u4e2d\u6587"], Size(3, 3)).startswith("\x1b[H\u4e2d\x1b[K")


@pytest.mark.parametrize(
    "why, terminal, environ, expected",
    [
        ("a pipe", False, {"COLUMNS": "50"}, None),
        ("no descriptor to ask", True, {}, Size(80, 24)),
        ("by the environment", True, {"COLUMNS": "50", "LINES": "15"}, Size(50, 15)),
        ("an environment without sense", True, {"COLUMNS": "0", "LINES": "x"}, Size(80, 24)),
    ],
)
def test_the_size_of_a_terminal(why, terminal, environ, expected):
    assert size(Terminal() if terminal else io.StringIO(), environ) == expected, why


def test_the_size_that_the_kernel_knows():
    leader, follower = pty.openpty()
    try:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 15, 50, 0, 0))
        with open(follower, "w", closefd=False) as stream:
            assert size(stream, {}) == Size(50, 15)
    finally:
        os.close(leader)
        os.close(follower)


def test_on_a_terminal_a_page_replaces_the_page_before():
    stdout = Terminal()
    screen = Screen(stdout, {"TERM": "xterm"})
    screen.show(["one"])
    screen.show(["two"])
    assert stdout.getvalue().count("\x1b[H") == 2


def test_on_other_outputs_pages_follow_each_other():
    for stdout, environ in ((io.StringIO(), {"TERM": "xterm"}), (Terminal(), {"TERM": "dumb"})):
        screen = Screen(stdout, environ)
        screen.show(["one", "more"])
        screen.show(["two"])
        assert stdout.getvalue() == "one\nmore\n\ntwo\n"


class ProgressTerminal:
    def __init__(self, is_one=True):
        self.written, self.is_one = "", is_one

    def isatty(self):
        return self.is_one

    def fileno(self):
        raise OSError

    def write(self, text):
        self.written += text

    def flush(self):
        pass


@pytest.mark.parametrize(
    "why, terminal, wanted, environ, shown",
    [
        ("a terminal", True, True, {"TERM": "xterm"}, True),
        ("a pipe", False, True, {"TERM": "xterm"}, False),
        ("a dumb terminal", True, True, {"TERM": "dumb"}, False),
        ("no TERM", True, True, {}, False),
        ("--quiet", True, False, {"TERM": "xterm"}, False),
    ],
)
def test_progress(why, terminal, wanted, environ, shown):
    stderr = ProgressTerminal(terminal)
    progress = Progress(wanted, stderr, environ)
    progress.show("on", 0.5)
    progress.show("on", 0.5)
    assert (stderr.written.count("[") - stderr.written.count("\x1b[") == 1) is shown, why
    progress.end()
    assert stderr.written.endswith("\r\x1b[K") or not shown


@pytest.mark.parametrize("columns", [50, 80])
def test_progress_stays_on_one_row(columns):
    stderr = Terminal()
    environ = {"TERM": "xterm", "COLUMNS": str(columns)}
    Progress(True, stderr, environ).show("checking that no services are added or removed" * 2, 0.5)
    shown = stderr.getvalue().replace("\r", "").replace("\x1b[K", "")
    assert len(shown) == columns - 1


@pytest.mark.parametrize("done, full", [(-1, 0), (0, 0), (0.5, 15), (1, 30), (7, 30)])
def test_bar(done, full):
    assert bar("x\n", done) == f"[{'#' * full}{'-' * (30 - full)}] x\\n"
