"""Owners from cgroups, and names of namespaces: right for engines, harmless for other text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.kernel.netns_owner import describe, namespace_name, owner_from_cgroup
from ipvsd.model import HOST_NAME, Namespace, Owner

ID = "3f2a" + "0123456789abcdef" * 3 + "beefbeefbeef"
OUTER = "ab" * 32
V1 = "12:pids:{0}\n11:cpu,cpuacct:{0}\n1:name=systemd:{1}\n0::{2}\n"


@pytest.mark.parametrize(
    "why, text, expected",
    [
        ("version 2", "0::/init.scope\n", ("/init.scope", "", "init.scope")),
        ("the root", "0::/\n", ("/", "", "")),
        (
            "version 1: systemd's own hierarchy",
            V1.format("/x", "/system.slice/a.service", "/other"),
            ("/system.slice/a.service", "", "a.service"),
        ),
        (
            "hybrid: the first hierarchy with a path, when systemd's has none; not the shim's 0::",
            V1.format("/docker/" + ID, "/", "/system.slice/containerd.service"),
            ("/docker/" + ID, ID, ""),
        ),
        ("the root in systemd's hierarchy", V1.format("/", "/", "/a"), ("/a", "", "")),
        ("version 1 without any path", V1.format("/", "/", "/"), ("/", "", "")),
        ("a colon in the path", "0::/a:b/c.service\n", ("/a:b/c.service", "", "")),
        ("a cgroup that was removed", "0::/a.scope (deleted)\n", ("/a.scope", "", "a.scope")),
        ("seen from within a cgroup namespace", "0::/../a\n", ("/../a", "", "")),
    ],
)
def test_the_line_of_the_cgroup_that_is_used(why, text, expected):
    assert owner_from_cgroup(text) == expected, why


@pytest.mark.parametrize(
    "path, container",
    [
        ("/docker/" + ID, ID),
        ("/system.slice/docker-" + ID + ".scope", ID),
        ("/machine.slice/libpod-" + ID + ".scope", ID),
        ("/machine.slice/libpod-" + ID + ".scope/container", ID),
        ("/machine.slice/machine-libpod_pod_" + OUTER + ".slice/libpod-" + ID + ".scope", ID),
        ("/system.slice/web.service/libpod-payload-" + ID, ID),
        ("/machine.slice/libpod-conmon-" + ID + ".scope", ""),
        ("/system.slice/crio-conmon-" + ID + ".scope", ""),
        ("/kubepods/besteffort/pod1234/" + ID, ID),
        ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + ID + ".scope", ID),
        ("/kubepods.slice/kubepods-pod1.slice/crio-" + ID + ".scope", ID),
        ("/system.slice/kubepods-pod1.slice:cri-containerd:" + ID, ID),
        ("/docker/" + OUTER + "/kubelet/kubepods/pod1/" + ID, ID),
        ("/docker/" + ID + "/system.slice/inner.service", ID),
        ("/docker/" + ID[:-1], ""),
        ("/docker/" + ID + "0", ""),
        ("/docker/" + ID.upper(), ""),
        ("/x" + ID, ""),
        ("/user.slice", ""),
    ],
)
def test_the_container_is_the_innermost(path, container):
    assert owner_from_cgroup("0::" + path + "\n")[:2] == (path, container)


@pytest.mark.parametrize(
    "why, path, unit",
    [
        ("a service", "/system.slice/a.service", "a.service"),
        ("an instance", "/system.slice/system-a.slice/a@1.service", "a@1.service"),
        ("a service's own groups", "/system.slice/a.service/worker/1", "a.service"),
        ("a login", "/user.slice/user-0.slice/session-3.scope", "session-3.scope"),
        (
            "a user's manager, also for its services",
            "/user.slice/user-1.slice/user@1.service/app.slice/b.service",
            "user@1.service",
        ),
        ("a container's scope is no unit", "/system.slice/docker-" + ID + ".scope", ""),
        ("a unit inside a container", "/docker/" + ID + "/system.slice/b.service", ""),
        (
            "a unit inside a container's scope",
            "/system.slice/docker-" + ID + ".scope/init.scope/b.service",
            "",
        ),
        ("a container in a service", "/system.slice/w.service/libpod-payload-" + ID, "w.service"),
        ("a slice is no unit that runs", "/system.slice", ""),
        ("no systemd", "/lxc/web", ""),
    ],
)
def test_the_unit_is_what_systemctl_shows(why, path, unit):
    assert owner_from_cgroup("0::" + path + "\n")[2] == unit, why


_ANY = st.one_of(
    st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.lists(
        st.sampled_from([":", "/", "\n", "0::", "1:name=systemd:", ID, "a.service", "docker-", " "])
    ).map("".join),
)


@given(_ANY)
def test_any_text_gives_a_consistent_owner(text):
    cgroup, container, unit = owner_from_cgroup(text)
    assert cgroup == "" or cgroup.startswith("/") and cgroup in text
    assert container in cgroup and unit in cgroup.split("/")
    assert len(container) in (0, 64)
    assert unit == "" or unit.endswith((".service", ".scope"))


@pytest.mark.parametrize(
    "text",
    [
        "0::/" + "a" * 10**6,
        "0::" + "/a" * 10**6,
        ("0::/" + "-" * 4000 + "\n") * 1000,
        "0::/" + (ID + "-") * 10000 + ".service",
        "\n" * 10**6,
        ":" * 10**6,
    ],
)
def test_megabytes_are_cut(text):
    assert all(len(hint) <= 4096 for hint in owner_from_cgroup(text))


@pytest.mark.parametrize(
    "why, owner, name",
    [
        ("named by ip netns", Owner(mounts=("/run/netns/web",)), "web"),
        ("in the older folder of ip netns", Owner(mounts=("/var/run/netns/cni-1",)), "cni-1"),
        ("a link", Owner(links=("/run/netns/web",)), "web"),
        ("a link before other mounts", Owner(("/x",), links=("/run/netns/web",)), "web"),
        ("a link with the name of the host", Owner(links=("/run/netns/host",)), "net:[42]"),
        ("a name before other mounts", Owner(mounts=("/mnt/x", "/run/netns/web")), "web"),
        ("another mount: its path", Owner(mounts=("/run/docker/netns/x",)), "/run/docker/netns/x"),
        ("not directly below", Owner(mounts=("/run/netns/a/b",)), "/run/netns/a/b"),
        (
            "the name of the host is not taken",
            Owner(mounts=("/run/netns/host",)),
            "/run/netns/host",
        ),
        ("a mount before a container", Owner(("/run/netns/cni-1",), "", ID), "cni-1"),
        ("a container as in docker ps", Owner((), "", ID, "a.service"), "container 3f2a01234567"),
        (
            "a container by its name",
            Owner(("/run/docker/netns/x",), "", ID, "", 7, "x", (), "docker", "web"),
            "docker web",
        ),
        (
            "a name of ip netns before it",
            Owner(("/run/netns/a",), "", ID, engine="docker", container_name="web"),
            "a",
        ),
        (
            "a pod",
            Owner((), "", ID, engine="kubernetes", container_name="dns", part_of="kube/dns-7"),
            "pod kube/dns-7",
        ),
        (
            "a task of Swarm",
            Owner((), "", ID, engine="docker", container_name="a.1", part_of="a"),
            "docker a.1",
        ),
        (
            "a machine before its scope",
            Owner(unit="machine-a.scope", engine="machine", container_name="a"),
            "machine a",
        ),
        ("a process whose command is unknown", Owner(pid=7), "pid 7"),
        ("a unit", Owner((), "", "", "a.service", 7, "x"), "a.service"),
        ("a process", Owner((), "", "", "", 7, "sleep"), "pid 7 (sleep)"),
        ("nothing known", Owner(), "net:[42]"),
        ("a long path is cut", Owner(mounts=("/" + "x" * 5000,)), "/" + "x" * 254),
    ],
)
def test_names(why, owner, name):
    assert namespace_name(owner, 42) == name, why


@pytest.mark.parametrize(
    "why, owner, text",
    [
        (
            "a mount that is the name",
            Owner(("/run/docker/netns/x",), pid=7, command="x"),
            "pid 7 (x)",
        ),
        ("a mount of ip netns", Owner(("/run/netns/a",)), "/run/netns/a"),
        ("a link", Owner(links=("/run/netns/a",), pid=7), "/run/netns/a, pid 7"),
        ("a process alone", Owner(pid=7, command="x"), ""),
        (
            "a container",
            Owner((), "", ID, "", 7, "x", (), "docker", "web"),
            "container 3f2a01234567, pid 7 (x)",
        ),
        (
            "a task of Swarm",
            Owner((), "", ID, engine="docker", container_name="a.1", part_of="a"),
            "service a, container 3f2a01234567",
        ),
        (
            "a pod that CNI has mounted",
            Owner(("/run/netns/cni-1",), "", ID, "", 7, "x", (), "kubernetes", "dns", "kube/dns-7"),
            "/run/netns/cni-1, pod kube/dns-7, container dns, container 3f2a01234567, pid 7 (x)",
        ),
    ],
)
def test_the_owner_does_not_repeat_the_name(why, owner, text):
    assert describe(Namespace(4, 42, namespace_name(owner, 42), owner)) == text, why


_MOUNTS = st.one_of(
    _ANY.map("/{}".format),
    _ANY.map("/run/netns/{}".format),
    st.sampled_from(["/run/netns/host", "/var/run/netns/host", "/run/netns/", "/host"]),
)


@given(st.lists(_MOUNTS, max_size=3), _ANY, st.integers(min_value=0), _ANY)
def test_any_owner_has_a_short_name_that_is_never_the_hosts(mounts, cgroup, pid, command):
    owner = Owner(tuple(mounts), *owner_from_cgroup(cgroup), pid, command)
    name = namespace_name(owner, 42)
    assert name not in ("", HOST_NAME) and len(name) <= 255
