"""`ipvsd doctor --fix` comments out hooks, keeps copies, and changes nothing else."""

import json
import os

import pytest

from ipvsd.doctor.check_modprobe import NOTE
from ipvsd.model import Exit
from tests.unit.doctor_host import (
    HOOK,
)


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


def folder(host):
    names = os.listdir(host.root.join("etc/modprobe.d"))
    return {name: host.root.read("etc/modprobe.d/" + name) for name in names}


def test_fix_that_fails_leaves_the_file_as_it_was(host, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    host.root.write("etc/modprobe.d/a.conf", HOOK)
    monkeypatch.setattr(os, "fsync", full)
    code, _, err = host.run("--fix")
    assert code == Exit.CANNOT_TELL and "No space left" in err and "Traceback" not in err
    assert "no file is changed" in err
    assert folder(host) == {"a.conf": HOOK}


def two_hooks(host):
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    host.root.write("etc/modprobe.d/b.conf", HOOK.replace("ip_vs", "ip_vs_rr"))
    return folder(host)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_fix_changes_all_files_or_none(host, monkeypatch, step):
    before, real, calls = two_hooks(host), getattr(os, step), []

    def second_fails(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(os, step, second_fails)
    code, _, err = host.run("--fix")
    assert code == Exit.CANNOT_TELL and "b.conf: cannot be changed: Input/output error" in err
    assert "no file is changed" in err
    assert folder(host) == before


def test_fix_says_what_it_changed_where_that_cannot_be_undone(host, monkeypatch):
    two_hooks(host)
    real, calls = os.replace, []

    def read_only(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(30, "Read-only file system")
        return real(*arguments)

    monkeypatch.setattr(os, "replace", read_only)
    code, _, err = host.run("--fix")
    path = host.root.join("etc/modprobe.d/a.conf")
    assert code == Exit.CANNOT_TELL
    assert f"these files are changed: {path} (copy of the old file: {path}.ipvsd-backup)" in err
    assert folder(host)["a.conf"].startswith(NOTE) and not folder(host)["b.conf"].startswith(NOTE)


def test_fix_of_a_file_with_two_names_changes_it_once(host):
    host.root.write("etc/modprobe.d/a.conf", HOOK)
    os.symlink("a.conf", host.root.join("etc/modprobe.d/b.conf"))
    code, out, _ = host.run("--fix")
    assert code == Exit.AS_WANTED and out.count("fixed ") == 1


@pytest.mark.parametrize(
    "line",
    [
        "install ip_vs modprobe -i ip_vs conn_tab_bits=20 && sysctl -p",
        "install ip_vs modprobe -i ip_vs; modprobe nf_conntrack; sysctl -p",
        "install ip_* modprobe -i ip_vs && sysctl -p",
        "install ip_vs modprobe -r ip_vs; sysctl --system",
        "install ip_vs modprobe --ignore-install -f ip_vs && sysctl -p",
    ],
)
def test_fix_leaves_a_line_that_does_more_than_set_sysctls(host, line):
    host.root.write("etc/modprobe.d/a.conf", line + "\n")
    code, out, _ = host.run("--fix")
    assert code == Exit.NOT_AS_WANTED and "nothing to fix" in out and "does something else" in out
    assert folder(host) == {"a.conf": line + "\n"}


@pytest.mark.parametrize("command", ["sysctl --system", "true; sysctl --system", "sysctl -p"])
def test_fix_leaves_a_line_that_does_not_load_the_module(host, command):
    line = f"install ip_vs {command}\n"
    host.root.write("etc/modprobe.d/a.conf", line)
    code, out, _ = host.run("--fix")
    assert code == Exit.NOT_AS_WANTED and "nothing to fix" in out and "no modprobe" in out
    assert folder(host) == {"a.conf": line}


CONNTRACK = "net.netfilter.nf_conntrack_max = 1000000\n"
OWN = "net.ipv4.vs.run_estimation = 0\n"


@pytest.mark.parametrize(
    "why, name, text, command, kept",
    [
        ("only IPVS", "etc/sysctl.conf", OWN, "sysctl -p", ""),
        ("no such file", "etc/sysctl.d/x.conf", OWN, "sysctl -p", ""),
        ("conntrack", "etc/sysctl.conf", OWN + CONNTRACK, "sysctl -p", "nf_conntrack_max"),
        ("slashes", "etc/sysctl.conf", "-net/bridge/x=1\n", "sysctl -p", "net.bridge.x"),
        ("--system", "etc/sysctl.d/x.conf", CONNTRACK, "sysctl --system", "nf_conntrack_max"),
        ("procps, hidden", "etc/sysctl.d/.x.conf", CONNTRACK, "sysctl --system", "nf_conntrack"),
        ("systemd", "usr/lib/sysctl.d/x.conf", CONNTRACK, "systemd-sysctl", "nf_conntrack"),
        ("a file", "etc/sysctl.d/x.conf", CONNTRACK, "sysctl -p /etc/sysctl.d/x.conf", "conntrack"),
        ("also at boot", "etc/sysctl.d/x.conf", "vm.swappiness=1\n", "sysctl --system", ""),
        (
            "as distributions have it",
            "usr/lib/sysctl.d/50-default.conf",
            "-net.ipv4.conf.all.rp_filter\nnet.ipv4.conf.*.rp_filter = 2\n"
            "kernel.yama.ptrace_scope = 0\nnet.core.default_qdisc = fq_codel\n",
            "sysctl --system",
            "",
        ),
        ("not at boot", "etc/sysctl.conf", "vm.swappiness=1\n", "sysctl -p", "vm.swappiness"),
        ("not at boot", "etc/x", "vm.swappiness=1\n", "sysctl -p /etc/x", "vm.swappiness"),
        ("unknown", "etc/sysctl.d/x.conf", "net.x.y=1\n", "sysctl --system", "net.x.y"),
    ],
)
def test_fix_leaves_a_hook_whose_values_a_boot_may_not_set(host, why, name, text, command, kept):
    line = f"install ip_vs modprobe -i ip_vs && {command}\n"
    host.root.write("etc/modprobe.d/a.conf", line)
    host.root.write(name, text)
    _, out, _ = host.run("--fix")
    words = " ".join(out.split())
    assert (folder(host)["a.conf"] == line) is bool(kept), why
    assert ("may not set" in words) is bool(kept) and kept in words, why


def test_fix_leaves_a_hook_if_another_value_is_set_at_boot(host):
    line = "install ip_vs modprobe -i ip_vs && sysctl -p /etc/sysctl.d/a.conf\n"
    host.root.write("etc/modprobe.d/a.conf", line)
    host.root.write("etc/sysctl.d/a.conf", "vm.swappiness = 1\n")
    host.root.write("etc/sysctl.d/b.conf", "vm.swappiness = 2\n")
    assert "vm.swappiness" in host.run("--fix")[1]
    assert folder(host) == {"a.conf": line}


def test_fix_leaves_a_hook_whose_file_cannot_be_read(host):
    line = "install ip_vs modprobe -i ip_vs && sysctl -p /etc/loop\n"
    host.root.write("etc/modprobe.d/a.conf", line)
    os.symlink("loop", host.root.join("etc/loop"))
    out = host.run("--fix")[1]
    assert "etc/loop" in out and "may not set" in " ".join(out.split())
    assert folder(host) == {"a.conf": line}
