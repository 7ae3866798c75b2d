"""`ipvsd doctor` on real hosts: clean, with each planted conflict, and before any load."""

import json
import shlex
from typing import Any

import pytest

from tests.unit.doctor.written_texts import TEXTS
from tests.vm.guarded import KEY, SERVICE, Guarded
from tests.vm.product.kernels import BOOKWORM, THREADED, on, with_each
from tests.vm.product.setups import ADD_SERVICE
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm


# KINDS where the kind of estimator matters, SUPPORTED where one kernel stands for all.
KINDS = on("bookworm", "trixie")
SUPPORTED = on("bookworm", also=("trixie",))
HOOK = "install ip_vs /sbin/modprobe --ignore-install ip_vs && /sbin/sysctl -q -p"
MODPROBE_FILE = "/etc/modprobe.d/ip_vs.conf"


class Doctor:
    """Runs the doctor, and plants files for it to find."""

    def __init__(self, host: Guarded) -> None:
        self.host = host

    def findings(self, *severities: str, code: int, words: str = "") -> list[dict[str, Any]]:
        result = self.host.execute(f"ipvsd doctor --json {words}")
        assert (result.status, result.stderr) == (code, ""), result
        document = json.loads(result.stdout)
        assert (document["version"], document["failed"]) == (1, [])
        # Debian lets each user create thousands of namespaces, and 6.12 lacks a fix of the threads:
        # hints say so everywhere.
        found = [
            one
            for one in document["findings"]
            if one["topic"] != "users" and (one["topic"], one["severity"]) != ("estimator", "hint")
        ]
        return [one for one in found if one["severity"] in severities]

    def plant(self, path: str, text: str) -> None:
        quoted = shlex.quote(path)
        self.host.succeed(f"mkdir -p $(dirname {quoted}); cat > {quoted}", input=text.encode())


@pytest.fixture
def doctor(host: Guarded) -> Doctor:
    return Doctor(host)


@KINDS
@with_each("loaded", [True, False])
def test_a_clean_host_is_in_order(host: Guarded, doctor: Doctor, loaded: bool):
    if loaded:
        host.load()
        host.wait_for_value("0")
    assert doctor.findings("problem", "warning", code=0) == []
    topics = {one["topic"] for one in doctor.findings("ok", code=0)}
    assert {"kernel", "estimator", "sysctl files", "tracing", "sandbox", "security"} <= topics
    assert ("values" in topics) is loaded
    shown = host.succeed("ipvsd doctor --json")
    threads, unknown = "558f67f1340f" in shown, "cannot be told" in shown
    assert threads is (host.machine.image.suite in THREADED)
    assert unknown is (threads and not loaded), "the types are those of the loaded module"
    assert "user.max_net_namespaces" in host.succeed("ipvsd doctor --json")


@KINDS
def test_the_estimator_is_the_same_before_and_after_loading(host: Guarded, doctor: Doctor):
    word = "in a timer" if "6.1." in host.kernel() else "in kernel threads"
    before = [one for one in doctor.findings("ok", code=0) if one["topic"] == "estimator"]
    host.load()
    host.wait_for_value("0")
    after = [one for one in doctor.findings("ok", code=0) if one["topic"] == "estimator"]
    assert before[0] == after[0] and word in before[0]["summary"]


def python(library: str, function: str) -> str:
    """Return a filter in Python, since not every image has the commands."""
    script = f"import {library}, sys; data = {library}.{function}(sys.stdin.buffer.read()); "
    return f"python3 -ISBc {shlex.quote(script + 'sys.stdout.buffer.write(data)')}"


PACK = {
    "": "cat",
    ".gz": python("gzip", "compress"),
    ".xz": python("lzma", "compress"),
    ".zst": "zstd -q",
}
UNPACK = {"": "cat", ".xz": python("lzma", "decompress")}


@SUPPORTED
@with_each("suffix", sorted(PACK, key=".zst".__ne__))
def test_the_real_module_in_each_compression(host: Guarded, suffix: str):
    """Examine a root that has only the module file of this kernel."""
    path = host.succeed("modinfo -n ip_vs").strip()
    unpack = UNPACK[path.partition(".ko")[2]]
    host.succeed(
        f"set -eo pipefail; rm -rf /tmp/root; folder=/tmp/root/lib/modules/$(uname -r); "
        f"mkdir -p $folder; {unpack} <{path} | {PACK[suffix]} >$folder/ip_vs.ko{suffix}; "
        f"echo ip_vs.ko{suffix}: >$folder/modules.dep"
    )
    result = host.execute("ipvsd --root /tmp/root doctor --json")
    document = json.loads(result.stdout)
    assert (result.status, document["supported"]) == (0, True), result.stdout
    assert "not loaded yet, has run_estimation" in result.stdout


PLANTED = [
    ("/etc/sysctl.d/50-lb.conf", f"{KEY} = 1\n", "sysctl files", "problem"),
    ("/usr/lib/sysctl.d/50-lb.conf", "net/ipv4/vs/conntrack = 1\n", "sysctl files", "warning"),
    (
        "/etc/udev/rules.d/90-lb.rules",
        'KERNEL=="ip_vs", RUN+="/bin/true"\n',
        "udev rules",
        "warning",
    ),
    ("/etc/tuned/lb/tuned.conf", f"[sysctl]\n{KEY}=1\n", "tuned", "hint"),
    ("/etc/cron.d/lb", f"* * * * * root sysctl {KEY}=0\n", "scripts and timers", "warning"),
    ("/etc/cron.d/lb", "* * * * * root ipvsadm --stats\n", "readers of statistics", "warning"),
    (MODPROBE_FILE, HOOK + "\n", "modprobe files", "problem"),
]


@BOOKWORM
@with_each("path, text, topic, severity", PLANTED, everyday=2)
def test_each_planted_file_is_found(
    host: Guarded, doctor: Doctor, path: str, text: str, topic: str, severity: str
):
    doctor.plant(path, text)
    try:
        found = doctor.findings("problem", "warning", "hint", code=0 if severity == "hint" else 1)
    finally:
        host.succeed(f"rm {path}")
    (finding,) = (one for one in found if one["topic"] == topic)
    line = len(text.splitlines())
    place = {"path": path, "line": line, "text": text.splitlines()[-1]}
    assert (finding["severity"], finding["evidence"]) == (severity, [place])
    assert finding["advice"]
    assert doctor.findings("problem", "warning", code=0) == []


@BOOKWORM
def test_a_masked_file_is_no_conflict(host: Guarded, doctor: Doctor):
    doctor.plant("/usr/lib/sysctl.d/50-lb.conf", f"{KEY} = 1\n")
    host.succeed("ln -s /dev/null /etc/sysctl.d/50-lb.conf")
    try:
        assert doctor.findings("problem", "warning", code=0) == []
    finally:
        host.succeed("rm /usr/lib/sysctl.d/50-lb.conf /etc/sysctl.d/50-lb.conf")


@SUPPORTED
def test_ip_vs_takes_the_same_value_from_a_text_as_the_doctor(host: Guarded):
    host.succeed(f"systemctl stop {SERVICE}")
    host.load()
    script = """
import json, sys
name = "/proc/sys/net/ipv4/vs/run_estimation"
def after(text):
    for data in ("7", text):
        try:
            with open(name, "wb", 0) as file:
                file.write(data.encode())
        except OSError:
            return None
    with open(name) as file:
        return file.read().strip()
print(json.dumps([after(text) for text in json.load(sys.stdin)]))
"""
    texts = [text for text, _ in TEXTS if text]
    try:
        answer = host.succeed(
            f"python3 -ISBc {shlex.quote(script)}", input=json.dumps(texts).encode()
        )
    finally:
        host.succeed(f"echo 0 >/proc/sys/net/ipv4/vs/run_estimation; systemctl start {SERVICE}")
    expected = {text: value for text, value in TEXTS if text}
    assert dict(zip(texts, json.loads(answer), strict=True)) == expected


@BOOKWORM
def test_only_the_first_install_line_runs_and_no_hidden_file(host: Guarded, doctor: Doctor):
    folder = "/etc/modprobe.d"
    doctor.plant(f"{folder}/10-lb.conf", "install ip_vs /bin/touch /tmp/first; exit 1\n")
    doctor.plant(f"{folder}/60-lb.conf", HOOK + "\n")
    doctor.plant(f"{folder}/.05-lb.conf", "install ip_vs /bin/touch /tmp/hidden\n")
    try:
        host.fail("modprobe ip_vs")
        host.succeed("test -e /tmp/first -a ! -e /tmp/hidden -a ! -e /sys/module/ip_vs")
        found = doctor.findings("problem", "warning", "hint", code=1)
        by_path = {one["evidence"][0]["path"]: one for one in found}
        assert by_path[f"{folder}/10-lb.conf"]["severity"] == "warning"
        assert "never runs" in by_path[f"{folder}/60-lb.conf"]["summary"]
        assert len(found) == 2
    finally:
        host.succeed(f"rm {folder}/10-lb.conf {folder}/60-lb.conf {folder}/.05-lb.conf /tmp/first")


@SUPPORTED
def test_fix_removes_a_hook_that_prevents_the_load(host: Guarded, doctor: Doctor):
    doctor.plant(MODPROBE_FILE, f"# of last year\n{HOOK}\n")
    # Not every release has the file.
    host.succeed("touch /etc/sysctl.conf; cp -p /etc/sysctl.conf /tmp/")
    host.succeed("echo net.ipv4.vs.no_such_key = 1 >>/etc/sysctl.conf")
    try:
        host.fail("modprobe ip_vs")
        assert host.execute("modprobe -r ip_vs").status == 0
        result = host.execute("ipvsd doctor --fix")
        assert f"fixed    {MODPROBE_FILE}: hook in line 2" in result.stdout
        host.load()
        host.wait_for_value("0")
        kept = host.succeed(f"cat {MODPROBE_FILE}.ipvsd-backup")
        assert kept == f"# of last year\n{HOOK}\n"
        assert host.succeed(f"stat -c '%U %a' {MODPROBE_FILE}") == "root 644\n"
    finally:
        host.succeed(f"rm -f {MODPROBE_FILE}*; mv /tmp/sysctl.conf /etc/")


@BOOKWORM
def test_a_running_exporter_is_reported(host: Guarded, doctor: Doctor, spaces: Spaces):
    unit = spaces.background(
        "cp $(command -v sleep) /tmp/node_exporter; exec /tmp/node_exporter 999"
    )
    host.machine.wait_until_succeeds("pidof node_exporter")
    (finding,) = doctor.findings("hint", code=0)
    assert finding["topic"] == "readers of statistics" and "node_exporter" in finding["summary"]
    host.succeed(f"systemctl stop {unit}")


@SUPPORTED
def test_the_use_of_ipvs_is_reported(host: Guarded, doctor: Doctor, spaces: Spaces):
    host.load()
    host.wait_for_value("0")
    spaces.named("idle")
    inode = spaces.mounted_elsewhere("/run/docker/netns/ingress_sbox")
    spaces.wait_for("0")
    host.succeed(ADD_SERVICE)
    try:
        in_host, others = use(doctor)
        assert in_host["summary"].endswith("host's namespace: 1")
        assert "do not matter now: none of 2" in others["summary"]
        assert spaces.execute_in(inode, ADD_SERVICE).status == 0
        in_host, others = use(doctor)
        assert in_host["evidence"][0]["path"].startswith("/run/docker/netns/ingress_sbox")
        assert "matter: 1 of 2" in others["summary"] and others["evidence"][0]["text"] == "1"
    finally:
        spaces.execute_in(inode, "ipvsadm --clear")
        host.stop_serving()


def use(doctor: Doctor) -> list[dict[str, Any]]:
    return [one for one in doctor.findings("ok", code=0) if one["topic"] == "use of IPVS"]


@SUPPORTED
def test_a_service_that_is_stopped_or_disabled(host: Guarded, doctor: Doctor):
    try:
        for command, severity, words in (
            ("stop", "problem", "is inactive"),
            ("disable", "warning", "neither enabled nor running"),
            ("start", "warning", "is not enabled"),
            ("stop", "warning", "neither enabled nor running"),
        ):
            host.succeed(f"systemctl {command} {SERVICE}")
            (found,) = doctor.findings("problem", "warning", code=1)
            assert (found["topic"], found["severity"]) == ("service", severity)
            assert words in found["summary"]
        host.load()
        (worst, *_) = doctor.findings("problem", code=1)
        assert worst["topic"] == "values" and "is 1" in worst["summary"]
    finally:
        host.succeed(f"systemctl enable --now {SERVICE}")


@BOOKWORM
def test_a_drop_in_that_removes_what_the_guard_needs(host: Guarded, doctor: Doctor):
    host.override_unit("[Service]\nPrivateNetwork=yes\nCapabilityBoundingSet=\n")
    found = doctor.findings("problem", "warning", code=1)
    said = " ".join(one["summary"] for one in found)
    assert "PrivateNetwork=yes" in said and "lacks CAP_SYS_ADMIN" in said
    assert any("service.d/test.conf" in str(one["evidence"]) for one in found)


@SUPPORTED
def test_without_tracefs_the_report_says_what_follows(host: Guarded):
    hide = "mount -t tmpfs x /sys/kernel/tracing; mount -t tmpfs x /sys/kernel/debug"
    result = host.execute(f"unshare --mount bash -c '{hide}; ipvsd doctor'")
    report = " ".join(result.stdout.split())
    assert result.status == 0 and "mount -t tracefs" in report
    assert "kprobe: /sys/kernel/tracing/kprobe_events: No such file or directory" in report


@SUPPORTED
def test_without_root_the_doctor_reports_what_it_can(host: Guarded):
    result = host.execute("setpriv --reuid=65534 --clear-groups ipvsd doctor")
    assert result.status == 0 and "not root" in result.stdout and result.stderr == ""
    result = host.execute("setpriv --reuid=65534 --clear-groups ipvsd doctor --fix")
    assert result.status == 4 and "run it as root" in result.stderr and result.stdout == ""


@BOOKWORM
@pytest.mark.parametrize("hidepid", [1, 2])
def test_a_user_who_cannot_see_the_daemon_is_told_so(host: Guarded, hidepid: int):
    user = "setpriv --reuid=65534 --regid=65534 --clear-groups ipvsd"
    result = host.execute(f"{user} status")
    assert result.status == 0 and "running, pid" in result.stdout
    host.succeed(f"mount -o remount,hidepid={hidepid} /proc")
    try:
        for verb in ("status", "doctor"):
            result = host.execute(f"{user} {verb}")
            assert (result.status, result.stderr) == (5, ""), result
            assert "cannot tell whether" in " ".join(result.stdout.split())
            assert "NOT RUNNING" not in result.stdout and "has leaked" not in result.stdout
        assert "running, pid" in host.succeed("ipvsd status")
    finally:
        host.succeed("mount -o remount,hidepid=0 /proc")


@on("bullseye")
def test_an_old_kernel_is_reported_before_ip_vs_is_loaded(host: Guarded, doctor: Doctor):
    (finding,) = doctor.findings("problem", code=3)
    assert "not loaded yet, has no run_estimation" in finding["summary"]
    assert finding["evidence"][0]["path"].endswith("ip_vs.ko")
    host.load()
    (finding,) = doctor.findings("problem", code=3)
    assert "the loaded ip_vs" in finding["summary"]


@SUPPORTED
def test_nothing_is_changed_and_nothing_is_loaded(host: Guarded):
    state = (
        "ls -l /etc /etc/modprobe.d /etc/sysctl.d; cat /sys/kernel/tracing/kprobe_events; ip netns"
    )
    before = host.succeed(state)
    host.succeed("ipvsd doctor")
    assert host.succeed(state) == before
    host.fail("test -e /sys/module/ip_vs")
