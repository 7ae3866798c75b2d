"""Names of containers, in cgroups and in files as the engines write them."""

import json
import os

import pytest

from ipvsd.kernel import container_names
from ipvsd.kernel.container_files import ContainerFiles
from ipvsd.kernel.container_names import ContainerName
from tests.time_limits import in_alarm

ID = "3f2a" + "0123456789" * 6
DOCKER = f"var/lib/docker/containers/{ID}/config.v2.json"
TASKS = "io.containerd.runtime.v2.task"
STORAGE = "var/lib/containers/storage/overlay-containers"

PODMAN = {"hostname": "web-host", "annotations": {"io.container.manager": "libpod"}}
CONTAINERD_POD = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-namespace": "kube-system",
    "io.kubernetes.cri.sandbox-name": "dns-7x",
}
CRIO_LABELS = {
    "io.kubernetes.pod.namespace": "kube-system",
    "io.kubernetes.pod.name": "dns-7x",
    "io.kubernetes.container.name": "POD",
}


@pytest.mark.parametrize(
    "why, path, expected",
    [
        ("LXC 4 and newer", "/lxc.payload.web/init.scope", ("lxc", "web")),
        ("its monitor", "/lxc.monitor.web", ("lxc", "web")),
        ("a name with dots and colons", "/lxc.payload.a.b:c", ("lxc", "a.b:c")),
        ("LXC 3.1", "/lxc.payload/web/a.service", ("lxc", "web")),
        ("older", "/lxc/web", ("lxc", "web")),
        ("a unit that is called so", "/system.slice/lxc.service", ("", "")),
        ("machined", "/machine.slice/machine-web.scope/payload", ("machine", "web")),
        ("escaped", "/machine.slice/machine-web\\x2d1.scope", ("machine", "web-1")),
        (
            "nspawn at boot",
            "/machine.slice/systemd-nspawn@web.service/payload/init.scope",
            ("machine", "web"),
        ),
        (
            "LXC in a machine",
            "/machine.slice/machine-a.scope/payload/lxc.payload.b",
            ("lxc", "b"),
        ),
        (
            "a machine in LXC",
            "/lxc.payload.b/machine.slice/machine-a.scope/payload",
            ("machine", "a"),
        ),
        ("a service", "/system.slice/a.service", ("", "")),
        ("too long", "/lxc/" + "x" * 4000, ("lxc", "x" * 255)),
    ],
)
def test_a_cgroup_names_the_innermost_container(why, path, expected):
    assert container_names.from_cgroup(path)[:2] == expected, why


@pytest.mark.parametrize(
    "why, files, expected",
    [
        ("no file", {}, ContainerName()),
        ("docker", {DOCKER: {"Name": "/web"}}, ContainerName("docker", "web")),
        (
            "docker with another folder",
            {
                "etc/docker/daemon.json": {"data-root": "/data/docker"},
                f"data/docker/containers/{ID}/config.v2.json": {"Name": "/web"},
            },
            ContainerName("docker", "web"),
        ),
        (
            "Docker Swarm",
            {
                DOCKER: {
                    "Name": "/shop_web.1.x7",
                    "Config": {"Labels": {"com.docker.swarm.service.name": "shop_web"}},
                }
            },
            ContainerName("docker", "shop_web.1.x7", "shop_web"),
        ),
        (
            "cri-dockerd",
            {DOCKER: {"Name": "/k8s_POD_dns", "Config": {"Labels": CRIO_LABELS}}},
            ContainerName("kubernetes", "", "kube-system/dns-7x"),
        ),
        (
            "containerd: a pod",
            {f"run/containerd/{TASKS}/k8s.io/{ID}/config.json": {"annotations": CONTAINERD_POD}},
            ContainerName("kubernetes", "", "kube-system/dns-7x"),
        ),
        (
            "k3s: a container of a pod",
            {
                f"run/k3s/containerd/{TASKS}/k8s.io/{ID}/config.json": {
                    "annotations": dict(
                        CONTAINERD_POD, **{"io.kubernetes.cri.container-name": "coredns"}
                    )
                }
            },
            ContainerName("kubernetes", "coredns", "kube-system/dns-7x"),
        ),
        (
            "nerdctl",
            {
                f"run/containerd/{TASKS}/default/{ID}/config.json": {
                    "annotations": {"nerdctl/name": "web"}
                }
            },
            ContainerName("containerd", "web"),
        ),
        (
            "CRI-O: labels in JSON in the JSON",
            {
                f"run/containers/storage/overlay-containers/{ID}/userdata/config.json": {
                    "annotations": {"io.kubernetes.cri-o.Labels": json.dumps(CRIO_LABELS)}
                }
            },
            ContainerName("kubernetes", "", "kube-system/dns-7x"),
        ),
        (
            "podman",
            {
                f"{STORAGE}/{ID}/userdata/config.json": PODMAN,
                f"{STORAGE}/containers.json": [
                    {"id": "0" * 64, "names": ["db"]},
                    {"id": ID, "names": ["web"]},
                ],
            },
            ContainerName("podman", "web"),
        ),
        (
            "podman run --rm",
            {
                f"{STORAGE}/{ID}/userdata/config.json": PODMAN,
                f"{STORAGE}/volatile-containers.json": [{"id": ID, "names": ["web"]}],
            },
            ContainerName("podman", "web"),
        ),
        (
            "a pod of podman",
            {
                f"{STORAGE}/{ID}/userdata/config.json": dict(PODMAN, hostname="shop"),
                f"{STORAGE}/containers.json": [{"id": ID, "names": ["0123456789ab-infra"]}],
            },
            ContainerName("podman", "0123456789ab-infra", "shop"),
        ),
        ("no index of podman", {f"{STORAGE}/{ID}/userdata/config.json": PODMAN}, ContainerName()),
        ("no object", {DOCKER: ["x"]}, ContainerName()),
        ("wrong types", {DOCKER: {"Name": 7, "Config": {"Labels": [1]}}}, ContainerName()),
        (
            "a folder with a NUL",
            {"etc/docker/daemon.json": {"data-root": "/a\0b"}, DOCKER: {"Name": "/web"}},
            ContainerName("docker", "web"),
        ),
    ],
)
def test_files_of_the_engines(root, why, files, expected):
    for name, document in files.items():
        root.write(name, json.dumps(document))
    assert ContainerFiles(root.path).name(ID) == expected, why


def test_in_a_container_the_engines_files_are_where_pid_1_has_them(root):
    root.write(f"proc/1/root/{DOCKER}", json.dumps({"Name": "/web"}))
    assert ContainerFiles(root.path).name(ID) == ContainerName("docker", "web")


def test_a_file_that_is_too_large_or_no_file_names_nothing(root):
    root.write(DOCKER, json.dumps({"Name": "/web", "x": "y" * 2**20}))
    assert ContainerFiles(root.path).name(ID) == ContainerName()
    os.unlink(root.join(DOCKER))
    os.mkfifo(root.join(DOCKER))
    with in_alarm():
        assert ContainerFiles(root.path).name(ID) == ContainerName()
