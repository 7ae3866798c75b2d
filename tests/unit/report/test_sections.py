"""The text of a report: no secrets, nothing that steers a terminal, and how each part ended."""

import pytest

from ipvsd.report import sections
from ipvsd.report.sections import Section


@pytest.mark.parametrize(
    "line, left",
    [
        ("curl --password hunter2 http://x", "curl --password (left out) http://x"),
        ("PASSWORD=hunter2 sysctl -w a=0", "PASSWORD=(left out) sysctl -w a=0"),
        ("db_password: hunter2", "db_password: (left out)"),
        ("Environment=API_KEY=abc TOKEN=x", "Environment=API_KEY=(left out) TOKEN=(left out)"),
        ("curl -H 'Authorization: Bearer abc'", "curl -H 'Authorization: Bearer (left out)"),
        ("wget http://user:pw@host/x", "wget http://user:(left out)@host/x"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(line, left):
    assert sections.without_secrets(line) == left


@pytest.mark.parametrize(
    "line",
    [
        "net.ipv4.vs.run_estimation = 0",
        "host (net:[4026531840])  off  /etc/conf.d/a.conf:3",
        "keepalived 1234 passes 0.0.0.0:80 -> 10.0.0.1:80",
        "https://www.debian.org/",
    ],
)
def test_everything_else_stays(line):
    assert sections.without_secrets(line) == line


def test_a_part_tells_how_it_ended_and_cannot_steer_a_terminal():
    text = sections.render(
        ["head"],
        [Section("a", "one\ntwo\n"), Section("b", "bad", 1), Section("c", "\x1b[2Jx", None)],
    )
    assert text == (
        "head\n\n== a\none\ntwo\n\n== b (exit code 1)\nbad\n\n== c (did not end)\n\\x1b[2Jx\n"
    )


def test_nothing_that_loads_the_module_or_shows_the_kernels_command_line_is_asked():
    words = {word for command in sections.PROGRAMS for word in command} | set(sections.FILES)
    assert not [word for word in words if "ipvsadm" in word or "cmdline" in word]
