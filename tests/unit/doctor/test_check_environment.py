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


ANYBODY = {"user.max_net_namespaces": "63704\n", "user.max_user_namespaces": "63704\n"}


@pytest.mark.parametrize(
    "why, limits, expected",
    [
        ("the kernel's default", ANYBODY, [HINT]),
        (
            "Debian's, which allows it",
            {**ANYBODY, "kernel.unprivileged_userns_clone": "1\n"},
            [HINT],
        ),
        ("Debian's, which forbids it", {**ANYBODY, "kernel.unprivileged_userns_clone": "0\n"}, []),
        (
            "Ubuntu's, which forbids it",
            {**ANYBODY, "kernel.apparmor_restrict_unprivileged_userns": "1\n"},
            [],
        ),
        ("no user namespaces", {**ANYBODY, "user.max_user_namespaces": "0\n"}, []),
        ("a limit", {**ANYBODY, "user.max_net_namespaces": "1000\n"}, []),
        ("a kernel without user namespaces", {"user.max_net_namespaces": "63704\n"}, []),
        ("an image without /proc", {}, []),
    ],
)
def test_how_many_namespaces_a_user_may_create(why, limits, expected):
    found = check_environment.check(WELL._replace(limits=limits))
    found = [one for one in found if one.topic == check_environment.USERS]
    assert severities(found) == expected, why
    for one in found:
        assert "63,704" in one.summary and "user.max_net_namespaces" in one.advice


def test_the_limit_of_namespaces_is_read_from_the_host(host):
    host.root.write("proc/sys/user/max_net_namespaces", "63704\n")
    host.root.write("proc/sys/user/max_user_namespaces", "63704\n")
    _, _, hints = host.found("hint")
    (found,) = (one for one in hints if one["topic"] == check_environment.USERS)
    assert "63,704 network namespaces" in found["summary"]
