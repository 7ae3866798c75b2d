"""`ipvsd doctor` on a fake root: what is planted is found with file and line, and can be fixed."""

import gzip
import json
import lzma
import os
import shutil
import subprocess

import pytest

from ipvsd import cli
from ipvsd.doctor import module_file
from ipvsd.doctor.check_modprobe import NOTE
from ipvsd.model import Exit

RELEASE = "6.1.0-test"
RUN = "net.ipv4.vs.run_estimation"
HOOK = "install ip_vs modprobe -i ip_vs && sysctl -p\n"
# As in a module's section of strings.
OLD_MODULE = b"\x7fELF\0am_droprate\0"
TIMER_MODULE = OLD_MODULE + b"run_estimation\0"
KTHREAD_MODULE = TIMER_MODULE + b"est_cpulist\0est_nice\0"


class Host:
    def __init__(self, root, capsys):
        self.root = root
        self._capsys = capsys
        root.write("proc/sys/kernel/osrelease", RELEASE + "\n")
        self.module(TIMER_MODULE)

    def module(self, data, suffix=""):
        folder = f"lib/modules/{RELEASE}/"
        name = f"kernel/net/netfilter/ipvs/ip_vs.ko{suffix}"
        self.root.write(
            folder + "modules.dep", f"kernel/a/ip_vs_rr.ko: {name}\n{name}: kernel/b.ko\n"
        )
        path = self.root.join(folder + name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def run(self, *arguments):
        code = cli.main(["--root", self.root.path, "doctor", *arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def found(self, *severities):
        code, out, err = self.run("--json")
        assert err == ""
        document = json.loads(out)
        findings = [one for one in document["findings"] if one["severity"] in severities]
        return code, document, findings


@pytest.fixture
def host(root, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Host(root, capsys)


def unwrapped(text):
    return " ".join(text.split())


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
    (
        "var/lib/kubelet/config.yaml",
        'allowedUnsafeSysctls:\n- "net.ipv4.vs.*"\n',
        2,
        "containers",
        "warning",
    ),
    (
        "run/containerd/io.containerd.runtime.v2.task/k8s.io/1/config.json",
        f'{{"sysctl":{{"{RUN}":"1"}}}}',
        None,
        "containers",
        "warning",
    ),
    ("run/systemd/container", "docker\n", None, "caller", "warning"),
    ("etc/ipvs-estoff-guard/guard.conf", "[guard]\nmode = x\n", None, "configuration", "problem"),
]


@pytest.mark.parametrize("name, text, line, topic, severity", PLANTED)
def test_what_is_planted_is_found_with_its_place(host, name, text, line, topic, severity):
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


def zstd(data):
    return subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", sorted(PACKERS))
@pytest.mark.parametrize(
    "data, code, words",
    [
        (OLD_MODULE, Exit.UNSUPPORTED, "not loaded yet, has no run_estimation"),
        (TIMER_MODULE, Exit.AS_WANTED, "estimation runs in a timer"),
        (KTHREAD_MODULE, Exit.AS_WANTED, "estimation runs in kernel threads"),
    ],
)
def test_the_module_file_tells_before_any_load(host, suffix, data, code, words):
    if suffix == ".zst" and shutil.which("zstd") is None:
        pytest.skip("no zstd to make such a module with")
    os.unlink(host.module(b""))
    path = host.module(PACKERS[suffix](data), suffix)
    found, out, _ = host.run()
    assert found == code and words in unwrapped(out) and path in out


BROKEN = [
    (".gz", b"nonsense"),
    (".gz", gzip.compress(TIMER_MODULE)[:20]),
    (".gz", gzip.compress(TIMER_MODULE)[:10] + b"\xff" * 20),
    (".xz", b"nonsense"),
    (".xz", lzma.compress(TIMER_MODULE)[:40]),
    (".zst", b"nonsense"),
]


@pytest.mark.parametrize("suffix, data", BROKEN)
def test_a_broken_module_file_is_a_hint(host, suffix, data):
    os.unlink(host.module(b""))
    host.module(data, suffix)
    code, document, findings = host.found("hint")
    assert (code, document["supported"]) == (Exit.AS_WANTED, None)
    assert any("cannot be told yet" in finding["summary"] for finding in findings)


def test_without_zstd_the_user_is_told_what_is_needed(host, monkeypatch):
    monkeypatch.setattr(module_file, "_ZSTD_MODULE", "no_such_module")
    monkeypatch.setattr(module_file, "_ZSTD_COMMANDS", (("no-such-command",),))
    os.unlink(host.module(b""))
    host.module(b"x", ".zst")
    assert "the command zstd is needed" in unwrapped(host.run()[1])


@pytest.mark.parametrize("prepare", ["lib", "module"])
def test_no_module_is_a_hint(host, prepare):
    folder = host.root.join(f"lib/modules/{RELEASE}")
    if prepare == "lib":
        shutil.rmtree(folder)
    else:
        host.root.write(f"lib/modules/{RELEASE}/modules.dep", "kernel/a/ip_vs_rr.ko:\n")
    code, document, _ = host.found()
    assert (code, document["supported"]) == (Exit.AS_WANTED, None)


def test_a_loaded_module_tells_itself(host):
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

    monkeypatch.setattr("ipvsd.doctor.check_other_writers.check_udev", broken)
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    code, out, err = host.run()
    assert code == Exit.CANNOT_TELL and err == ""
    assert "udev rules: could not be checked: RuntimeError: broken\\x1b" in out
    assert "install hook" in out


def test_quiet_prints_findings_only(host):
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    _, out, _ = host.run("--quiet")
    assert "install hook" in out and "\nok" not in out and not out.startswith("ok")


def test_without_root_it_says_what_is_missing(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, out, _ = host.run()
    assert code == Exit.AS_WANTED and "not root" in out and "tracing" not in out


def test_fix_comments_out_the_hook_and_keeps_a_copy(host):
    text = "# mine\n" + HOOK + "options ip_vs conn_tab_bits=20\n"
    host.root.write("etc/modprobe.d/a.conf", text)
    path = host.root.join("etc/modprobe.d/a.conf")
    os.chmod(path, 0o640)
    code, out, _ = host.run("--fix")
    assert code == Exit.AS_WANTED
    assert f"fixed    {path}: hook in line 2 commented out" in out
    after = f"# mine\n{NOTE}\n# {HOOK}options ip_vs conn_tab_bits=20\n"
    assert host.root.read("etc/modprobe.d/a.conf") == after
    assert host.root.read("etc/modprobe.d/a.conf.ipvsd-backup") == text
    for name in (path, path + ".ipvsd-backup"):
        assert os.stat(name).st_mode & 0o777 == 0o640
    assert sorted(os.listdir(os.path.dirname(path))) == ["a.conf", "a.conf.ipvsd-backup"]
    assert "nothing to fix" in host.run("--fix")[1]
    assert host.root.read("etc/modprobe.d/a.conf") == after


def test_fix_never_overwrites_an_older_copy(host):
    host.root.write("etc/modprobe.d/a.conf.ipvsd-backup", "old")
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    _, out, _ = host.run("--fix", "--json")
    (fixed,) = json.loads(out)["fixed"]
    assert fixed["copy"].endswith("a.conf.ipvsd-backup.2") and fixed["lines"] == [1]
    assert host.root.read("etc/modprobe.d/a.conf.ipvsd-backup") == "old"
    assert host.root.read("etc/modprobe.d/a.conf.ipvsd-backup.2") == HOOK


def test_fix_changes_what_a_link_leads_to_and_nothing_outside_etc(host):
    host.root.write("etc/local/hook", HOOK)
    host.root.write("opt/hook", HOOK)
    host.root.write("usr/lib/modprobe.d/c.conf", HOOK)
    os.makedirs(host.root.join("etc/modprobe.d"))
    os.symlink("../local/hook", host.root.join("etc/modprobe.d/a.conf"))
    os.symlink("../../opt/hook", host.root.join("etc/modprobe.d/b.conf"))
    code, _, _ = host.run("--fix")
    assert code == Exit.NOT_AS_WANTED
    assert os.path.islink(host.root.join("etc/modprobe.d/a.conf"))
    assert host.root.read("etc/local/hook").startswith(NOTE)
    assert host.root.read("opt/hook") == host.root.read("usr/lib/modprobe.d/c.conf") == HOOK


def test_fix_keeps_bytes_that_are_no_text(host):
    host.root.write("etc/modprobe.d/a.conf", "")
    path = host.root.join("etc/modprobe.d/a.conf")
    with open(path, "wb") as file:
        file.write(b"# \xff\xfe\r\n" + HOOK.encode())
    host.run("--fix")
    with open(path, "rb") as file:
        assert file.read() == b"# \xff\xfe\r\n" + f"{NOTE}\n# {HOOK}".encode()


def test_fix_without_root_changes_nothing(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    code, out, err = host.run("--fix")
    assert (code, out) == (Exit.NOT_PERMITTED, "") and "root" in err
    assert host.root.read("etc/modprobe.d/a.conf") == HOOK


def test_fix_that_fails_leaves_the_file_as_it_was(host, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    host.root.write("etc/modprobe.d/a.conf", HOOK)
    monkeypatch.setattr(os, "fsync", full)
    code, _, err = host.run("--fix")
    assert code == Exit.CANNOT_TELL and "No space left" in err and "Traceback" not in err
    assert host.root.read("etc/modprobe.d/a.conf") == HOOK
    names = os.listdir(host.root.join("etc/modprobe.d"))
    assert sorted(names) == ["a.conf", "a.conf.ipvsd-backup"]


def test_a_fifo_and_a_folder_in_place_of_a_file_do_no_harm(host):
    os.makedirs(host.root.join("etc/sysctl.d/a.conf"))
    fifo = host.root.join("etc/sysctl.d/b.conf")
    os.mkfifo(fifo)
    assert host.run()[0] == Exit.AS_WANTED
    writer = os.open(fifo, os.O_RDWR)
    os.write(writer, f"{RUN} = 1\n".encode())
    assert host.run()[0] == Exit.AS_WANTED
    os.close(writer)
