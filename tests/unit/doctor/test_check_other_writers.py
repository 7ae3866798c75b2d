"""Files of udev, tuned, cron, kubelet and containers that set a guarded key."""

import pytest

from ipvsd.doctor import check_other_writers
from ipvsd.doctor.check_other_writers import Tuned
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import HINT, PROBLEM, WARNING, bad_places

RUN = "net.ipv4.vs.run_estimation"
SYNC = "net.ipv4.vs.sync_threshold"
WANTED = {RUN: "0"}


@pytest.mark.parametrize(
    "why, text, expected",
    [
        (
            "systemd's own",
            'SUBSYSTEM=="net", RUN+="systemd-sysctl --prefix=/net/ipv4/conf/$name"',
            [],
        ),
        ("by name", '\nACTION=="add", KERNEL=="ip_vs", RUN+="/x"', [(WARNING, "/u.rules:2")]),
        ("by key", 'RUN+="/sbin/sysctl -w ' + RUN + '=0"', [(WARNING, "/u.rules:1")]),
        ("by prefix", 'A=="b", \\\n RUN+="s --prefix=/net/ipv4/vs"', [(WARNING, "/u.rules:1")]),
        ("a comment", '# KERNEL=="ip_vs"', []),
    ],
)
def test_udev(why, text, expected):
    assert bad_places(check_other_writers.check_udev([File("/u.rules", text)])) == expected, why


def profile(value, head=""):
    return File(
        "/p/tuned.conf",
        f"[main]\n{head}\n[sysctl]\nvm.swappiness=10\n{RUN}={value}\n[x]\n{RUN}=1\n",
    )


@pytest.mark.parametrize(
    "why, active, profiles, expected",
    [
        ("active", ("p",), {"p": profile("1")}, [(PROBLEM, "/p/tuned.conf:5")]),
        ("not active", ("q",), {"p": profile("1")}, [(HINT, "/p/tuned.conf:5")]),
        ("the same value as the guard", ("p",), {"p": profile("0")}, [(HINT, "/p/tuned.conf:5")]),
        (
            "included, and in a circle",
            ("q",),
            {"q": File("/q/tuned.conf", "[main]\ninclude = p, q\n"), "p": profile("1")},
            [(PROBLEM, "/p/tuned.conf:5")],
        ),
        ("a profile that does not exist", ("q",), {}, []),
    ],
)
def test_tuned(why, active, profiles, expected):
    assert (
        bad_places(check_other_writers.check_tuned(Tuned(active, profiles), WANTED)) == expected
    ), why


def test_tuned_and_a_key_that_is_not_guarded():
    file = File("/p/tuned.conf", f"[sysctl]\n{SYNC}=3 50\n")
    findings = check_other_writers.check_tuned(Tuned(("p",), {"p": file}), WANTED)
    assert bad_places(findings) == [(WARNING, "/p/tuned.conf:2")]


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("cron", f"\n* * * * * root sysctl -w {RUN}=0", [(WARNING, "/c:2")]),
        ("echo", "echo 0 > /proc/sys/net/ipv4/vs/run_estimation", [(WARNING, "/c:1")]),
        ("a comment", f"# {RUN}", []),
        ("the guard's own unit", "ReadWritePaths=/proc/sys/net", []),
    ],
)
def test_scripts(why, text, expected):
    assert bad_places(check_other_writers.check_scripts([File("/c", text)])) == expected, why


@pytest.mark.parametrize(
    "why, text, expected",
    [
        (
            "a list",
            'allowedUnsafeSysctls:\n- "kernel.msg*"\n- net.ipv4.vs.*\n',
            [(WARNING, "/k:3")],
        ),
        ("indented", "allowedUnsafeSysctls:\n  - net.ipv4.vs.run_estimation", [(WARNING, "/k:2")]),
        ("in one line", "allowedUnsafeSysctls: [net.ipv4.*]", [(WARNING, "/k:1")]),
        ("an argument", "A=--allowed-unsafe-sysctls=net.ipv4.vs.*", [(WARNING, "/k:1")]),
        ("another list", "allowedUnsafeSysctls:\n- kernel.x\nother:\n- net.ipv4.vs.*", []),
        ("others", "allowedUnsafeSysctls:\n- net.core.somaxconn", []),
        ("none", "kind: KubeletConfiguration", []),
    ],
)
def test_kubelet(why, text, expected):
    assert bad_places(check_other_writers.check_kubelet([File("/k", text)])) == expected, why


def test_containers_that_ask_for_another_value():
    asking = File("/b/1.json", '{"linux":{"sysctl":{"net.ipv4.vs.run_estimation":"1","a.b":"1"}}}')
    agreeing = File("/b/2.json", '{"linux": {"sysctl": {"net.ipv4.vs.run_estimation": "0"}}}')
    (finding,) = check_other_writers.check_containers(
        [asking, agreeing, File("/b/3.json", "{}")], WANTED
    )
    assert finding.severity is WARNING and "1 container was started" in finding.summary
    assert [line.path for line in finding.evidence] == ["/b/1.json"]
