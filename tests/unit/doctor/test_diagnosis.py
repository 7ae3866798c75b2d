"""All findings together: the exit code, their order, and how they are printed."""

import pytest

from ipvsd.doctor import (
    diagnosis,
)
from ipvsd.doctor.diagnosis import Diagnosis, Finding, Line
from ipvsd.model import Exit
from tests.unit.doctor.findings import HINT, OK, PROBLEM, WARNING, severities


def finding(severity):
    return Finding("topic", severity, "x")


@pytest.mark.parametrize(
    "why, found, expected",
    [
        ("well", Diagnosis((finding(OK), finding(HINT)), True), Exit.AS_WANTED),
        ("support is unknown", Diagnosis((finding(HINT),), None), Exit.AS_WANTED),
        ("a warning", Diagnosis((finding(WARNING),), True), Exit.NOT_AS_WANTED),
        ("a problem", Diagnosis((finding(PROBLEM),), True), Exit.NOT_AS_WANTED),
        ("a broken check", Diagnosis((finding(PROBLEM),), True, ("x",)), Exit.CANNOT_TELL),
        ("no such setting", Diagnosis((finding(PROBLEM),), False, ("x",)), Exit.UNSUPPORTED),
    ],
)
def test_exit_code(why, found, expected):
    assert diagnosis.exit_code(found) is expected, why


def test_the_worst_is_shown_first_and_counted():
    mixed = [finding(OK), finding(PROBLEM), finding(HINT), finding(HINT), finding(WARNING)]
    assert severities(diagnosis.in_order(mixed)) == [PROBLEM, WARNING, HINT, HINT, OK]
    assert diagnosis.summary(mixed) == "1 problem, 1 warning, 2 hints, 1 ok"


def test_text_from_outside_is_escaped():
    evil = Finding("topic", HINT, "a\x1b[2Jb", (Line("/\x1bx", 1, "c\nd"),), "\x1b")
    assert "\x1b" not in "".join(diagnosis.lines(evil)) and len(diagnosis.lines(evil)) == 3
