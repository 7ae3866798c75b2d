"""Kernel, use, environment and service: what is said of what was seen."""

import pytest

from ipvsd.doctor import (
    check_environment,
    check_ipvs_usage,
    check_kernel,
    check_service,
    check_values,
    diagnosis,
)
from ipvsd.doctor.check_environment import Environment
from ipvsd.doctor.check_ipvs_usage import Program, Usage
from ipvsd.doctor.check_kernel import Kernel, ModuleFile
from ipvsd.doctor.check_service import Service
from ipvsd.doctor.diagnosis import Diagnosis, Finding, Line, Severity
from ipvsd.doctor.file_syntax import File
from ipvsd.model import Exit, Found, KeyStatus, Module, Reading, State
from tests.builders import NO_KEY, NO_TREE, RUN, value

OK, HINT, WARNING, PROBLEM = Severity.OK, Severity.HINT, Severity.WARNING, Severity.PROBLEM
KO = "/lib/modules/6.1/ip_vs.ko"


def severities(findings):
    return [finding.severity for finding in findings]


def seen(module=Module.ABSENT, reading=NO_TREE, file=None, kthreads=False, release="6.1.0"):
    file = file or ModuleFile()
    return Kernel(release, module, reading, kthreads, file)


@pytest.mark.parametrize(
    "why, kernel_seen, supported, expected, words",
    [
        ("loaded", seen(Module.LIVE, value("1")), True, [OK, OK], "in a timer"),
        ("with kthreads", seen(Module.LIVE, value("1"), kthreads=True), True, [OK, OK], "threads"),
        ("loaded without it", seen(Module.LIVE, NO_KEY), False, [PROBLEM], "newer kernel"),
        ("built in", seen(Module.BUILT_IN, value("0")), True, [OK, OK], "has run_estimation"),
        (
            "an older one is loaded than is on disk",
            seen(Module.LIVE, NO_KEY, ModuleFile(KO, False, True, False)),
            False,
            [PROBLEM],
            "reboot",
        ),
        (
            "a value that may not be read is there",
            seen(Module.LIVE, Reading(Found.DENIED, error="x")),
            True,
            [OK, OK],
            "has run_estimation",
        ),
        ("loaded, seen from a container", seen(Module.LIVE), None, [WARNING], "on the host"),
        (
            "not loaded yet",
            seen(file=ModuleFile(KO, False, True, False)),
            True,
            [OK, OK],
            "not loaded yet, has",
        ),
        (
            "not loaded yet, kthreads",
            seen(file=ModuleFile(KO, False, True, True)),
            True,
            [OK, OK],
            "in kernel threads",
        ),
        (
            "not loaded yet, without it",
            seen(file=ModuleFile(KO, False, False, False)),
            False,
            [PROBLEM],
            "not loaded yet, has no",
        ),
        ("no such module", seen(), None, [HINT], "nothing to guard"),
        (
            "cannot be told",
            seen(file=ModuleFile(KO, error="zstd is needed"), release="4.19.91-21.al7.x86_64"),
            None,
            [HINT],
            "unlikely",
        ),
    ],
)
def test_kernel(why, kernel_seen, supported, expected, words):
    findings = check_kernel.check(kernel_seen)
    assert check_kernel.supported(kernel_seen) is supported, why
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why


@pytest.mark.parametrize(
    "release, expected",
    [
        ("4.19.91-21.2.al7.x86_64", False),
        ("4.19.91-22.al7.x86_64", True),
        ("4.19.91-26.1.al7.x86_64", True),
        ("5.10.134-13.al8.x86_64", False),
        ("5.10.134-14.al8.x86_64", True),
        ("5.10.134-16.3.al8.aarch64", True),
        ("5.16.0", True),
        ("6.12.48+deb13-amd64", True),
        ("5.15.0-91-generic", None),  # a distribution may have taken it over
        ("4.18.0-553.el8.x86_64", None),
        ("nonsense", None),
    ],
)
def test_documented_minimum(release, expected):
    assert check_kernel.documented(release) is expected


KUBE = Program(7, "kube-proxy", True)
BASE = Usage(True, 5, (), True, False, (KUBE,))


@pytest.mark.parametrize(
    "why, usage_seen, expected, words",
    [
        ("not loaded", BASE._replace(loaded=False), [OK], "not loaded"),
        ("the host alone", BASE._replace(others=[("web", 0)]), [OK, OK], "do not matter now"),
        ("others", BASE._replace(others=[("web", 3), ("b", 0)]), [OK, OK], "1 of 2 have services"),
        (
            "others, but only the host is guarded",
            BASE._replace(others=[("web", 3)], host_only=True),
            [OK, WARNING],
            "scope = all",
        ),
        ("without root", BASE._replace(root=False, host=None), [OK, HINT], "cannot be told"),
    ],
)
def test_use(why, usage_seen, expected, words):
    findings = check_ipvs_usage.check_use(usage_seen)
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why
    assert str(findings[0].evidence[0]) == "pid 7: kube-proxy in the host's namespace"


def test_swarms_sandboxes_are_shown():
    swarm = "/run/docker/netns/ingress_sbox (net:[1])"
    findings = check_ipvs_usage.check_use(BASE._replace(others=[(swarm, 9), ("web", 1)]))
    assert Line(swarm) in findings[0].evidence
    assert findings[1].evidence[0] == Line(swarm, 0, "9")


@pytest.mark.parametrize("name", sorted(check_ipvs_usage.READING))
def test_readers_by_name(name):
    (finding,) = check_ipvs_usage.check_readers([Program(3, name), Program(4, "bash")], [])
    assert finding.severity is HINT and finding.evidence == (Line("pid 3", 0, name),)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("*/5 * * * * root ipvsadm -Ln --stats | mail x", [WARNING]),
        ("* * * * * root ipvsadm -L --rate", [WARNING]),
        ("ExecStart=/sbin/ipvsadm --list --stats", [WARNING]),
        ("cat /proc/net/ip_vs_stats", [WARNING]),
        ("cat /proc/net/ip_vs_stats_percpu", [OK]),  # its rows of CPUs still count
        ("# ipvsadm --stats", [OK]),
        ("ExecStart=/sbin/ipvsadm --restore", [OK]),
        ("    enable_snmp_checker", [WARNING]),
        ("! enable_snmp_checker", [OK]),
        ("    enable_snmp_vrrp", [OK]),
        ('KEEPALIVED_OPTIONS="-D --snmp"', [WARNING]),
        ('KEEPALIVED_OPTIONS="-Dx"', [WARNING]),
        ('KEEPALIVED_OPTIONS="-D -p /run/x-y"', [OK]),
    ],
)
def test_readers_by_file(text, expected):
    assert severities(check_ipvs_usage.check_readers([], [File("/f", text)])) == expected


WELL = Environment(0, "", "[none] integrity confidentiality", "1\n", "Y\n", (), (), {})


@pytest.mark.parametrize(
    "why, environment_seen, expected, words",
    [
        ("well", WELL, [OK, OK], "SELinux enforcing, AppArmor, lockdown none"),
        (
            "nothing there",
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
            "1 actions",
        ),
        (
            "AppArmor denies the daemon, told by its pid",
            WELL._replace(
                messages=['apparmor="DENIED" pid=42 comm="python3"'],
                process={"Pid": "42", "CapEff": "0000000000281000"},
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
        ("a journal that cannot be read", WELL._replace(messages=None), [OK, HINT], "is not known"),
    ],
)
def test_environment(why, environment_seen, expected, words):
    findings = check_environment.check(environment_seen)
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why


@pytest.mark.parametrize(
    "effective, seccomp, expected",
    [
        ("0000000000281000", "2", [OK]),
        ("000001ffffffffff", "2", [OK]),
        ("0000000000081000", "2", [WARNING]),
        ("0000000000000000", "2", [WARNING] * 3),
        ("0000000000281000", "0", [HINT]),
        ("nonsense", "2", [OK]),
    ],
)
def test_process(effective, seccomp, expected):
    status = check_environment.parse_status(
        f"Name:\tpython3\nPid:\t9\nCapEff:\t{effective}\nSeccomp:\t{seccomp}\n"
    )
    assert severities(check_environment.check_process(status)) == expected


SHOWN = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "NeedDaemonReload": "no",
    "PrivateNetwork": "no",
    "ProtectKernelTunables": "yes",
    "ReadWritePaths": "/proc/sys/net -/sys/kernel/tracing",
}
DAEMON = {
    "guard": "1.0",
    "mode": "enforce",
    "sources": {"births": "on", "devices": "off"},
    "canary": {"time": "now", "error": None},
    "states": {"off": 3},
    "counters": {"passes_leaked": 0, "events_lost": 0, "failures": 0},
}


def shown(**changes):
    return Service(dict(SHOWN, **changes), DAEMON, "1.0")


def running(**changes):
    return Service(SHOWN, dict(DAEMON, **changes), "1.0")


def counting(name):
    return running(counters=dict(DAEMON["counters"], **{name: 2}))


@pytest.mark.parametrize(
    "why, service_seen, expected, words",
    [
        ("well", shown(), [OK], "running"),
        ("no systemd", Service(None, None, "1.0"), [HINT], "does not answer"),
        ("not installed", shown(LoadState="not-found"), [HINT], "systemctl enable"),
        ("masked", shown(LoadState="masked"), [PROBLEM], "unmask"),
        ("disabled", shown(UnitFileState="disabled"), [WARNING], "after a boot"),
        (
            "just installed",
            Service(dict(SHOWN, UnitFileState="disabled", ActiveState="inactive"), None, "1.0"),
            [WARNING],
            "enable --now",
        ),
        ("stopped", shown(ActiveState="inactive"), [PROBLEM], "systemctl start"),
        ("failed", shown(ActiveState="failed", Result="watchdog"), [PROBLEM], "watchdog"),
        ("restarted", shown(NRestarts="3"), [HINT], "3 times"),
        ("an old unit in force", shown(NeedDaemonReload="yes"), [HINT], "daemon-reload"),
        ("cut off from events", shown(PrivateNetwork="yes"), [PROBLEM], "events"),
        ("cannot write", shown(ReadWritePaths="/srv"), [PROBLEM], "ReadWritePaths"),
        ("may write all", shown(ReadWritePaths="-/proc"), [OK], "running"),
        ("need not be told to", shown(ProtectKernelTunables="no", ReadWritePaths=""), [OK], ""),
        ("another version", running(guard="0.9"), [WARNING], "restart"),
        ("observing", running(mode="observe"), [HINT], "observe"),
        ("a source lost", running(sources={"births": "x: No such file"}), [HINT], "births"),
        (
            "canary",
            running(canary={"time": "now", "error": "not set in time"}),
            [WARNING],
            "canary",
        ),
        ("no canary", running(canary=None), [OK], ""),
        ("contested", running(states={"contested": 1, "off": 2}), [PROBLEM], "1 contested"),
        ("passes", counting("passes_leaked"), [HINT], "since its start: 2"),
        ("events", counting("events_lost"), [HINT], "lost, since its start: 2"),
        ("failures", counting("failures"), [HINT], "failed, since its start: 2"),
    ],
)
def test_service(why, service_seen, expected, words):
    findings = check_service.check(service_seen)
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why


def test_show_is_parsed():
    assert check_service.parse_show("A=b=c\nD=\nnonsense\n") == {"A": "b=c", "D": ""}


@pytest.mark.parametrize(
    "state, mode, expected, words",
    [
        (State.AS_WANTED, None, [OK], "as wanted"),
        (State.ABSENT, None, [], ""),
        (State.UNSUPPORTED, None, [], ""),
        (State.DIFFERS, None, [PROBLEM], "ipvsd apply"),
        (State.DIFFERS, "observe", [PROBLEM], "mode = enforce"),
    ],
)
def test_values(state, mode, expected, words):
    findings = check_values.check_values([KeyStatus(RUN, state, "1")], mode)
    assert severities(findings) == expected
    assert all(words in finding.summary + finding.advice for finding in findings)


def finding(severity):
    return Finding("topic", severity, "x")


@pytest.mark.parametrize(
    "why, found, expected",
    [
        ("well", Diagnosis((finding(OK), finding(HINT)), True), Exit.AS_WANTED),
        ("not to be told", Diagnosis((finding(HINT),), None), Exit.AS_WANTED),
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
