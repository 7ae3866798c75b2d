"""`ipvsd doctor` on a fake root: each planted file is found, with its line."""

import os
import shutil

import pytest

from ipvsd.model import Exit
from tests.unit.doctor_host import HOOK, RELEASE, RUN, unwrapped


def test_a_clean_host_has_neither_problems_nor_warnings(host):
    code, document, bad = host.found("problem", "warning")
    assert (code, bad) == (Exit.AS_WANTED, [])
    assert (document["version"], document["supported"], document["failed"]) == (1, True, [])
    assert document["fixed"] == []


def test_an_image_in_which_nothing_is_mounted(host, monkeypatch):
    shutil.rmtree(host.root.join("proc"))
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", RELEASE, "", "")))
    code, document, bad = host.found("problem", "warning")
    assert (code, bad, document["supported"]) == (Exit.AS_WANTED, [], True)


PLANTED = [
    ("etc/sysctl.d/50-a.conf", f"# x\n{RUN} = 1\n", 2, "sysctl files", "problem"),
    ("etc/sysctl.conf", f"{RUN} = 1\n", 1, "sysctl files", "problem"),
    ("usr/lib/sysctl.d/a.conf", "net.ipv4.vs.conntrack = 1\n", 1, "sysctl files", "warning"),
    ("run/sysctl.d/a.conf", f"{RUN} = 0\n", 1, "sysctl files", "hint"),
    ("etc/modprobe.d/a.conf", HOOK, 1, "modprobe files", "problem"),
    ("usr/lib/modprobe.d/a.conf", HOOK, 1, "modprobe files", "problem"),
    ("etc/udev/rules.d/9-a.rules", 'KERNEL=="ip_vs", RUN+="/x"\n', 1, "udev rules", "warning"),
    ("etc/tuned/p/tuned.conf", f"[sysctl]\n{RUN}=1\n", 2, "tuned", "hint"),
    ("etc/cron.d/a", f"* * * * * root sysctl -w {RUN}=0\n", 1, "scripts and timers", "warning"),
    ("etc/cron.d/a", "* * * * * root ipvsadm -Ln --stats\n", 1, "readers of statistics", "warning"),
    ("var/spool/cron/root", "* * * * * ipvsadm --rate\n", 1, "readers of statistics", "warning"),
    (
        "usr/lib/systemd/system/a.service",
        "[Service]\nExecStart=/sbin/ipvsadm -L --stats\n",
        2,
        "readers of statistics",
        "warning",
    ),
    (
        "etc/keepalived/keepalived.conf",
        "enable_snmp_checker\n",
        1,
        "readers of statistics",
        "warning",
    ),
    ("proc/77/comm", "node_exporter\n", None, "readers of statistics", "hint"),
    ("run/systemd/container", "docker\n", None, "caller", "warning"),
    ("etc/ipvs-estoff-guard/guard.conf", "[guard]\nmode = x\n", None, "configuration", "problem"),
]


@pytest.mark.parametrize("name, text, line, topic, severity", PLANTED)
def test_each_planted_file_is_found_with_its_place(host, name, text, line, topic, severity):
    before = host.found(severity)[2]
    host.root.write(name, text)
    code, _, findings = host.found(severity)
    (new,) = (finding for finding in findings if finding not in before)
    assert new["topic"] == topic
    if topic == "configuration":
        assert "guard.conf:2" in new["summary"]
    elif name.startswith("proc/"):
        assert new["evidence"] == [{"path": "pid 77", "line": None, "text": "node_exporter"}]
    else:
        assert (new["evidence"][0]["path"], new["evidence"][0]["line"]) == (
            host.root.join(name),
            line,
        )
    assert code == (Exit.AS_WANTED if severity == "hint" else Exit.NOT_AS_WANTED)


TASK = "io.containerd.runtime.v2.task"


@pytest.mark.parametrize(
    "folder",
    [
        f"run/containerd/{TASK}/k8s.io/1",
        f"run/docker/containerd/daemon/{TASK}/moby/1",
        f"run/k3s/containerd/{TASK}/k8s.io/1",
        "run/containerd/io.containerd.runtime.v1.linux/moby/1",
        "run/containers/storage/overlay-containers/1/userdata",
        "var/lib/containers/storage/overlay-containers/1/userdata",
    ],
)
def test_the_bundles_of_every_container_runtime_are_read(host, folder):
    host.root.unconfigure()
    text = f'{{"linux":{{"sysctl":{{"{RUN}":"1"}}}}}}'
    host.root.write(f"{folder}/config.json", text)
    (finding,) = host.found("warning")[2]
    assert finding["topic"] == "containers"
    assert finding["evidence"][0]["path"] == host.root.join(f"{folder}/config.json")


@pytest.mark.parametrize(
    "name, text",
    [
        ("var/lib/kubelet/config.yaml", "allowedUnsafeSysctls:\n- net.ipv4.vs.*\n"),
        ("etc/kubernetes/kubelet.conf.d/1.conf", "allowedUnsafeSysctls: [net.ipv4.vs.*]\n"),
        ("opt/k.json", '{"allowedUnsafeSysctls": ["net.ipv4.vs.*"]}'),
        ("opt/k.d/1.conf", "allowedUnsafeSysctls: [net.ipv4.vs.*]\n"),
        ("etc/default/kubelet", "KUBELET_EXTRA_ARGS=--allowed-unsafe-sysctls=net.ipv4.vs.*\n"),
        ("usr/lib/systemd/system/kubelet.service.d/9.conf", "A=--allowed-unsafe-sysctls=net.*\n"),
    ],
)
def test_all_configuration_of_a_kubelet_is_read(host, name, text):
    host.root.unconfigure()
    host.root.write(
        "etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
        'Environment="A=--config=/opt/k.json --config-dir=/opt/k.d"\n',
    )
    host.root.write(name, text)
    (finding,) = host.found("warning")[2]
    assert (finding["topic"], finding["evidence"][0]["path"]) == (
        "containers",
        host.root.join(name),
    )


def test_hidden_files_are_read_by_sysctl_alone(host):
    host.root.write("etc/modprobe.d/.a.conf", HOOK)
    host.root.write("etc/udev/rules.d/.a.rules", 'KERNEL=="ip_vs", RUN+="/x"\n')
    host.root.write("etc/sysctl.d/.a.conf", f"{RUN} = 1\n")
    code, out, _ = host.run("--fix")
    assert code == Exit.NOT_AS_WANTED and "nothing to fix" in out
    assert host.root.read("etc/modprobe.d/.a.conf") == HOOK
    (finding,) = host.found("problem", "warning")[2]
    assert finding["topic"] == "sysctl files" and "by `sysctl --system`" in finding["summary"]


def test_lib_is_read_where_it_is_not_merged_into_usr(host):
    host.root.write("lib/sysctl.d/a.conf", f"{RUN} = 1\n")
    (finding,) = host.found("problem")[2]
    assert finding["evidence"][0]["path"] == host.root.join("lib/sysctl.d/a.conf")
    host.root.write("usr/lib/sysctl.d/a.conf", f"{RUN} = 0\n")
    assert host.found("problem")[2] == []


def test_a_masked_file_does_not_count(host):
    host.root.write("usr/lib/sysctl.d/50-a.conf", f"{RUN} = 1\n")
    os.makedirs(host.root.join("etc/sysctl.d"))
    os.symlink("/dev/null", host.root.join("etc/sysctl.d/50-a.conf"))
    assert host.found("problem", "warning")[2] == []


def test_the_active_tuned_profile_is_a_problem(host):
    host.root.write("usr/lib/tuned/p/tuned.conf", "[sysctl]\n")
    host.root.write("etc/tuned/p/tuned.conf", f"[sysctl]\n{RUN}=1\n")
    host.root.write("etc/tuned/active_profile", "p\n")
    (finding,) = host.found("problem")[2]
    assert finding["evidence"][0]["path"] == host.root.join("etc/tuned/p/tuned.conf")


def test_a_link_to_sysctl_conf_is_sysctl_conf(host):
    host.root.write("etc/sysctl.conf", f"{RUN} = 1\n")
    os.makedirs(host.root.join("etc/sysctl.d"))
    os.symlink("../sysctl.conf", host.root.join("etc/sysctl.d/99-sysctl.conf"))
    (finding,) = host.found("problem")[2]
    assert finding["evidence"][0]["path"] == host.root.join("etc/sysctl.conf")
    assert "at boot" in finding["summary"]


def test_namespaces_that_the_configuration_excludes_are_not_counted(host, monkeypatch):
    policies = []

    class Reader:
        def __init__(self, policy, root, read):
            policies.append(policy)
            self._read = read

        def read(self):
            return [("host", self._read())]

        def close(self):
            pass

    monkeypatch.setattr("ipvsd.doctor.examine_system.NamespaceReader", Reader)
    host.root.load_ip_vs(run_estimation="0")
    host.root.configure("[namespaces]\nexclude = name:lab-*\n", "conf.d/10.conf")
    assert "without those that the configuration excludes" in unwrapped(host.run()[1])
    assert [str(one) for policy in policies for one in policy.exclusions] == ["name:lab-*"]


def test_a_loaded_module_shows_its_support(host):
    host.root.load_ip_vs(am_droprate="10")
    assert host.run()[0] == Exit.UNSUPPORTED
    host.root.set("run_estimation", "1")
    code, _, findings = host.found("problem")
    assert code == Exit.NOT_AS_WANTED and [one["topic"] for one in findings] == ["values"]
    host.root.set("run_estimation", "0")
    assert host.run()[0] == Exit.AS_WANTED


def test_a_broken_check_hides_no_other(host, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken\x1b")

    monkeypatch.setattr("ipvsd.doctor.check_udev.check", broken)
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    code, out, err = host.run()
    assert code == Exit.CANNOT_TELL and err == ""
    assert "udev rules: could not be checked: RuntimeError: broken\\x1b" in out
    assert "install hook" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up")
@pytest.mark.parametrize(
    "mode, severity", [(0o644, "ok"), (0o444, "hint")], ids=["writable", "read-only"]
)
def test_tracing_is_tried_with_the_capabilities_of_the_service(host, mode, severity):
    """Root itself may write a file whatever its mode; the service has no CAP_DAC_OVERRIDE."""
    host.root.write("sys/kernel/tracing/kprobe_events", "")
    os.chmod(host.root.join("sys/kernel/tracing/kprobe_events"), mode)
    (found,) = (one for one in host.found("ok", "hint", "warning")[2] if one["topic"] == "tracing")
    assert found["severity"] == severity, found


def test_without_root_the_report_says_what_is_missing(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, out, _ = host.run()
    assert code == Exit.AS_WANTED and "not root" in out and "tracing" not in out
