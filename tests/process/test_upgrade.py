"""An upgrade from 0.2.0 and back: its configuration, its daemon's files, and its commands.

The old program is taken from the history of this repository.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from ipvsd.config import files as config_files
from ipvsd.config.policy import rules_for
from ipvsd.kernel import netns_discovery
from tests.process.daemon_process import HOME, DaemonProcess

RELEASE = "851fa57"  # the commit of 0.2.0
RUN = "net.ipv4.vs.run_estimation"
EVERY_KEY = f"""[guard]
mode = enforce
resync = 1min 30s
canary = 12h
contested = yield
[namespaces]
scope = host
exclude = name:lb_*, cgroup:/kube*, unit:docker.service, container:3f2a
[metrics]
textfile = /var/lib/node_exporter/textfile_collector/ipvs-estoff-guard.prom
[sysctl]
{RUN} = 0
net/ipv4/vs/sync_threshold = 3 50
net.ipv4.vs.est_cpulist = 0-3,8
net.ipv4.vs.drop_entry =
[sysctl name:monitor]
{RUN} = 1
"""
CHOSEN = f"# Written by `ipvsd estimation`.\n\n[sysctl name:web]\n{RUN} = 1\n"


def has_release():
    """Return whether the history of this checkout has 0.2.0: an archive has none."""
    command = ["git", "cat-file", "-e", f"{RELEASE}^{{commit}}"]
    try:
        return subprocess.call(command, cwd=HOME, stderr=subprocess.DEVNULL) == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not has_release(), reason="needs git, and history with 0.2.0")


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Return a folder with 0.2.0."""
    folder = tmp_path_factory.mktemp("0.2.0")
    command = ["git", "archive", RELEASE, "ipvsd", "conf"]
    archive = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE)
    subprocess.check_call(["tar", "-x", "-C", str(folder)], stdin=archive.stdout)
    archive.stdout.close()
    assert archive.wait() == 0
    return str(folder)


def run(program, root, *words):
    """Return exit code, standard output and standard error of a command of one of the two."""
    done = subprocess.Popen(
        [sys.executable, "-m", "ipvsd", "--root", root.path, *words],
        cwd=program,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    out, err = done.communicate()
    return done.returncode, out, err


@pytest.fixture
def daemon(root, tmp_path):
    made = DaemonProcess(root, tmp_path)
    yield made
    made.close()


def start(daemon, program):
    daemon.start(program=program).wait_for("READY=1")


def documents(root, program, *words):
    code, out, err = run(program, root, *words, "--json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


@pytest.mark.parametrize("name", ["shipped", "every key", "a choice"])
def test_the_configuration_means_the_same(old, root, name):
    if name == "shipped":
        with open(os.path.join(old, "conf", "guard.conf"), encoding="utf-8") as file:
            root.configure(file.read())
    elif name == "every key":
        root.configure(EVERY_KEY)
    else:
        root.configure(CHOSEN, "conf.d/90-estimation.conf")
    before, after = (documents(root, program, "config") for program in (old, HOME))
    for section in ("guard", "namespaces", "metrics", "sysctl"):
        for key, shown in before[section].items():
            assert {part: after[section][key][part] for part in shown} == shown
        assert [key for key in after[section] if key in before[section]] == list(before[section])
    assert [one["value"] for one in after["overrides"]] == [
        one["value"] for one in before["overrides"]
    ]
    assert after["warnings"] == before["warnings"] == []


_OLD_NAME = """
import sys
from ipvsd.core.owners import namespace_name, owner_from_cgroup
from ipvsd.core.model import Owner
print(namespace_name(Owner((), *owner_from_cgroup(sys.stdin.read()), 7, "init"), 42))
"""


@pytest.mark.parametrize(
    "cgroup, new_name",
    [
        ("/machine.slice/systemd-nspawn@web.service/payload", "machine web"),
        ("/system.slice/lxc@db.service/lxc.payload.db", "lxc db"),
        ("/machine.slice/machine-web.scope", "machine web"),
        ("/lxc.payload.web", "lxc web"),
        ("/system.slice/docker-3f2a" + "0" * 60 + ".scope", "container 3f2a00000000"),
    ],
)
def test_a_choice_for_the_name_that_the_old_status_showed_counts(old, root, cgroup, new_name):
    root.write("proc/7/ns/net", "")
    root.write("proc/7/cgroup", f"0::{cgroup}\n")
    root.write("proc/7/comm", "init\n")
    command = [sys.executable, "-c", _OLD_NAME]
    asked = subprocess.Popen(
        command,
        cwd=old,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    old_name = asked.communicate(f"0::{cgroup}\n")[0].rstrip("\n")
    words = ("--namespace", old_name.replace(" ", "?"))
    code, _, err = run(old, root, "estimation", "on", *words)
    assert code in (0, 1), err
    assert root.read("etc/ipvs-estoff-guard/conf.d/90-estimation.conf").count("[sysctl name:") == 1

    os.unlink(root.join("etc/ipvs-estoff-guard/conf.d/00-fake-root.conf"))
    wanted = config_files.load(config_files.places(root.path)).policy
    status = os.stat(root.join("proc/7/ns/net"))
    holder = netns_discovery.Holder(root.join("proc/7/ns/net"), 7)
    found = netns_discovery.NamespaceFinder(root.path).describe(
        (status.st_dev, status.st_ino), [holder]
    )
    assert found.name == new_name
    assert [setting.wanted for setting in rules_for(wanted, found).settings] == ["1"]


@pytest.mark.parametrize("older", ["daemon", "command"])
def test_a_command_reads_the_files_of_the_other_daemon(old, root, daemon, older):
    root.load_ip_vs()
    start(daemon, old if older == "daemon" else HOME)
    program = HOME if older == "daemon" else old
    status = documents(root, program, "status")
    assert status["daemon"]["counters"]["writes"] == {"start": 1}
    assert status["daemon"]["pid"] == daemon.process.pid
    code, out, err = run(program, root, "status")
    assert (code, err) == (0, "") and "NOT RUNNING" not in out
    assert run(program, root, "verify")[0] in (0, 5)
    switched, _, err = run(program, root, "estimation", "on")
    assert (switched, err, root.get()) == (0, "", "1"), "the daemon is asked to reload"
    assert "something else" not in daemon.log()


def test_the_new_daemon_takes_over_from_a_killed_one_and_counts_from_zero(old, root, daemon):
    root.load_ip_vs()
    start(daemon, old)
    daemon.end(signal.SIGKILL)
    root.set("run_estimation", "1")
    start(daemon, HOME)
    assert root.get() == "0"
    counters = daemon.status()["counters"]
    assert counters["writes"] == {"start": 1} and counters["loads"] == 0
    assert counters["not_counted_usec"] == 0 and counters["since"]
    assert "counters" not in daemon.log() and "Traceback" not in daemon.log()


def test_the_old_daemon_takes_over_from_the_new_one(old, root, daemon):
    """A downgrade: it leaves the counters, and a choice for a time, alone."""
    root.load_ip_vs()
    start(daemon, HOME)
    assert run(HOME, root, "estimation", "on", "--for", "1h")[0] == 0
    daemon.end()
    start(daemon, old)
    daemon.wait_for_log("unknown section [until")
    assert root.get() == "1"
    assert "Traceback" not in daemon.log()
