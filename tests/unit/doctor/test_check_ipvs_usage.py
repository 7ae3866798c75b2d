"""The doctor's findings about the use of IPVS and about readers of its statistics."""

import pytest

from ipvsd.doctor import (
    check_ipvs_usage,
)
from ipvsd.doctor.check_ipvs_usage import Program, Usage
from ipvsd.doctor.diagnosis import Line
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import HINT, OK, WARNING, severities

KUBE = Program(7, "kube-proxy", True)
BASE = Usage(True, 5, (), True, False, False, (KUBE,))


@pytest.mark.parametrize(
    "why, usage_seen, expected, words",
    [
        ("not loaded", BASE._replace(loaded=False), [OK], "not loaded"),
        ("the host alone", BASE._replace(others=[("web", 0)]), [OK, OK], "do not matter now"),
        ("others", BASE._replace(others=[("web", 3), ("b", 0)]), [OK, OK], "1 of 2 has services"),
        (
            "others, but only the host is guarded",
            BASE._replace(others=[("web", 3)], host_only=True),
            [OK, WARNING],
            "scope = all",
        ),
        (
            "some are excluded",
            BASE._replace(others=[("web", 0)], excluding=True),
            [OK, OK],
            "none of 1 (without those that the configuration excludes)",
        ),
        ("without root", BASE._replace(root=False, host=None), [OK, HINT], "unknown"),
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


@pytest.mark.parametrize("name", ["ldirectord", "kube-router", "keepalived"])
def test_users_by_name(name):
    programs = (Program(7, name, True),)
    findings = check_ipvs_usage.check_use(BASE._replace(programs=programs))
    assert [line.path for line in findings[0].evidence] == ["pid 7"]


@pytest.mark.parametrize(
    "name",
    [
        *sorted(check_ipvs_usage.READING),
        "node-exporter",
        "node_exporter-1",
        "prometheus-node",
        "grafana-agent",
        "grafana-agent-1",
        "kube-router",
    ],
)
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
        ("cat /proc/net/ip_vs_stats_percpu", [OK]),  # its rows of CPUs count without estimation
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


def test_hidden_processes_are_not_said_to_be_absent():
    (finding,) = check_ipvs_usage.check_readers([], [], hidden=True)
    assert finding.severity is HINT and "cannot tell" in finding.summary
