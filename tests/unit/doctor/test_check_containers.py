"""Containers that set a guarded key, and kubelets that let pods do so."""

import json

import pytest

from ipvsd.config.parser import Source, parse
from ipvsd.doctor import check_containers
from ipvsd.doctor.file_syntax import File
from ipvsd.model import Scope
from tests.builders import POLICY
from tests.unit.doctor.findings import WARNING, bad_places

RUN = "net.ipv4.vs.run_estimation"
ID = "3f2a" * 16


@pytest.mark.parametrize(
    "why, text, expected",
    [
        (
            "a list",
            'allowedUnsafeSysctls:\n- "kernel.msg*"\n- net.ipv4.vs.*\n',
            [(WARNING, "/k:3")],
        ),
        ("indented", f"allowedUnsafeSysctls:\n  - {RUN}", [(WARNING, "/k:2")]),
        ("slashes", "allowedUnsafeSysctls:\n- net/ipv4/vs/run_estimation\n", [(WARNING, "/k:2")]),
        ("in one line", "allowedUnsafeSysctls: [net.ipv4.*]", [(WARNING, "/k:1")]),
        ("a shorter glob", "allowedUnsafeSysctls: ['net/ipv4/v*']", [(WARNING, "/k:1")]),
        ("in brackets, later", 'allowedUnsafeSysctls:\n  [a,\n  "net.*"]', [(WARNING, "/k:3")]),
        ("JSON", '{\n"allowedUnsafeSysctls": [\n"a",\n"net.ipv4.vs.*"\n]}', [(WARNING, "/k:4")]),
        ("JSON in one line", f'{{"a":1,"allowedUnsafeSysctls":["{RUN}"]}}', [(WARNING, "/k:1")]),
        ("an argument", "A=--allowed-unsafe-sysctls=net.ipv4.vs.*", [(WARNING, "/k:1")]),
        ("two arguments", "--x --allowed-unsafe-sysctls 'a,net/ipv4/vs/*'", [(WARNING, "/k:1")]),
        (
            "k3s",
            'kubelet-arg:\n- "allowed-unsafe-sysctls=net.ipv4.vs.*"\n',
            [(WARNING, "/k:2")],
        ),
        ("another list", "allowedUnsafeSysctls:\n- kernel.x\nother:\n- net.ipv4.vs.*", []),
        ("another list in JSON", '{"allowedUnsafeSysctls":["a"],"other":["net.ipv4.vs.*"]}', []),
        ("another argument", "--allowed-unsafe-sysctls=a\n--other=net.ipv4.vs.*", []),
        ("another argument behind", "--allowed-unsafe-sysctls=a --other=net.ipv4.vs.*", []),
        ("a comment", "allowedUnsafeSysctls:\n- kernel.x # not net.ipv4.vs.*", []),
        ("others", "allowedUnsafeSysctls:\n- net.core.somaxconn\n- net.ipv4.vsx", []),
        ("none", "kind: KubeletConfiguration", []),
    ],
)
def test_kubelet(why, text, expected):
    found = check_containers.check_kubelet([File("/k", text)], POLICY)
    assert [
        (one.severity, str(line).partition(": ")[0]) for one in found for line in one.evidence
    ] == expected, why


def test_a_kubelet_does_not_matter_where_only_the_host_is_guarded():
    file = File("/k", "allowedUnsafeSysctls: [net.ipv4.*]")
    assert check_containers.check_kubelet([file], POLICY._replace(scope=Scope.HOST)) == []


def test_the_configuration_that_arguments_name():
    unit = File(
        "/u", 'Environment="A=--config=/etc/k.yaml --config-dir /etc/k.d"\nX=--config /b.json'
    )
    expected = ["etc/k.yaml", "etc/k.d/*.conf", "b.json"]
    assert check_containers.configurations([unit]) == expected


def bundle(container=ID, sysctl=None, **linux):
    linux["sysctl"] = {RUN: "1"} if sysctl is None else sysctl
    return File(f"/run/x/k8s.io/{container}/config.json", json.dumps({"linux": linux}))


def test_containers_that_ask_for_another_value():
    asking = bundle(sysctl={RUN: "1", "a.b": "1"})
    others = [bundle(sysctl={RUN: "0"}), bundle(sysctl={RUN: "0x0"}), bundle(sysctl={"a": RUN})]
    (finding,) = check_containers.check_containers([asking, *others], POLICY)
    assert finding.severity is WARNING and "1 container was started" in finding.summary
    assert [line.path for line in finding.evidence] == [asking.path]


def test_slashes_are_the_same_key():
    bundles = [bundle(), bundle(sysctl={"net/ipv4/vs/run_estimation": "1"})]
    (finding,) = check_containers.check_containers(bundles, POLICY)
    assert "2 containers were started" in finding.summary


@pytest.mark.parametrize("text", ["", "{", "[]", '{"linux": 1}', '{"linux": {"sysctl": [1]}}'])
def test_a_bundle_without_sysctls(text):
    file = File("/run/x/1/config.json", text + " net vs")
    assert bad_places(check_containers.check_containers([file], POLICY)) == []


@pytest.mark.parametrize(
    "rules, counts",
    [
        ("exclude = container:3f2a3f2a3f2a", False),
        ("exclude = cgroup:/kubepods.slice/kubepods-pod1.slice/*", False),
        ("exclude = name:cni-*", False),
        ("exclude = container:beef", True),
        ("scope = host", False),
        (f"[sysctl container:3f2a]\n{RUN} = 1", False),
        (f"[sysctl container:3f2a]\n{RUN} =", False),
        ("", True),
    ],
)
@pytest.mark.parametrize("place", [f"/run/x/k8s.io/{ID}", f"/c/overlay-containers/{ID}/userdata"])
def test_containers_that_the_configuration_excludes_do_not_count(place, rules, counts):
    text = f"[sysctl]\n{RUN} = 0\n[namespaces]\n{rules}\n"
    policy = parse([Source("guard.conf", text)]).policy
    joined = [{"type": "pid"}, {"type": "network", "path": "/var/run/netns/cni-1"}]
    cgroup = f"kubepods-pod1.slice:cri-containerd:{ID}"
    file = bundle(namespaces=joined, cgroupsPath=cgroup)._replace(path=place + "/config.json")
    assert bool(check_containers.check_containers([file], policy)) is counts
