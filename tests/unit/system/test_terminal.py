"""Pages on a terminal and elsewhere."""

import io

from ipvsd.system.terminal import Screen, page


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_page_is_cut_to_the_terminal_and_clears_what_was_there():
    drawn = page(["abcdef", "x", "y"], columns=4, rows=3)
    assert drawn == "\x1b[Habcd\x1b[K\nx\x1b[K\n\x1b[J"


def test_on_a_terminal_pages_lie_over_each_other():
    stdout = Terminal()
    screen = Screen(stdout, {"TERM": "xterm"})
    screen.show(["one"])
    screen.show(["two"])
    assert stdout.getvalue().count("\x1b[H") == 2


def test_elsewhere_they_follow_each_other():
    for stdout, environ in ((io.StringIO(), {"TERM": "xterm"}), (Terminal(), {"TERM": "dumb"})):
        screen = Screen(stdout, environ)
        screen.show(["one", "more"])
        screen.show(["two"])
        assert stdout.getvalue() == "one\nmore\n\ntwo\n"
