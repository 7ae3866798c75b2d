"""The doctor's findings about tracing, security modules and the daemon's capabilities."""

import pytest

from ipvsd.doctor import (
    check_environment,
)
from ipvsd.doctor.check_environment import Environment
from tests.unit.doctor.findings import HINT, OK, PROBLEM, WARNING, severities

WELL = Environment(0, "", "[none] integrity confidentiality", "1\n", "Y\n", (), (), {})


@pytest.mark.parametrize(
    "why, environment_seen, expected, words",
    [
        ("well", WELL, [OK, OK], "SELinux enforcing, AppArmor, lockdown none"),
        (
            "no security module",
            WELL._replace(lockdown="", selinux="", apparmor=""),
            [OK, OK],
            "no security",
        ),
        (
            "not root",
            WELL._replace(uid=7, tracing=None, messages=None),
            [HINT, HINT],
            "run it as root",
        ),
        (
            "a container",
            WELL._replace(containers=["/.dockerenv"]),
            [WARNING, OK, OK],
            "on the host",
        ),
        (
            "no tracefs",
            WELL._replace(tracing="/x: No such file or directory"),
            [HINT, OK],
            "mount -t",
        ),
        (
            "lockdown",
            WELL._replace(lockdown="none integrity [confidentiality]"),
            [HINT, OK],
            "every second",
        ),
        (
            "SELinux denies",
            WELL._replace(messages=['avc:  denied  { write } for pid=1 comm="ipvsd"', "x"]),
            [OK, PROBLEM],
            "1 action of the guard was denied",
        ),
        (
            "AppArmor denies the daemon, recognised by its pid",
            WELL._replace(
                messages=['apparmor="DENIED" pid=42 comm="python3"'],
                process={"Pid": "42", "CapEff": "0000000000281004"},
            ),
            [OK, PROBLEM, OK],
            "denied",
        ),
        (
            "denials of others",
            WELL._replace(
                messages=['avc:  denied  { write } for pid=421 comm="x"'], process={"Pid": "42"}
            ),
            [OK, OK, OK],
            "no denial",
        ),
        ("a journal that cannot be read", WELL._replace(messages=None), [OK, HINT], "is unknown"),
    ],
)
def test_environment(why, environment_seen, expected, words):
    findings = check_environment.check(environment_seen)
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why


@pytest.mark.parametrize(
    "effective, seccomp, expected",
    [
        ("0000000000281004", "2", [OK]),
        ("000001ffffffffff", "2", [OK]),
        ("0000000000081004", "2", [WARNING]),
        ("0000000000000000", "2", [WARNING] * 4),
        ("0000000000281004", "0", [HINT]),
        ("nonsense", "2", [OK]),
    ],
)
def test_process(effective, seccomp, expected):
    status = check_environment.parse_status(
        f"Name:\tpython3\nPid:\t9\nCapEff:\t{effective}\nSeccomp:\t{seccomp}\n"
    )
    assert severities(check_environment.check_process(status)) == expected
