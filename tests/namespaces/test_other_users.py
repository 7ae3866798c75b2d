"""What users other than root can read: nothing that identifies a namespace."""

import ctypes
import functools
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

import pytest

from ipvsd import cli
from ipvsd.config import comparison
from ipvsd.config.files import RUNTIME_FOLDER
from ipvsd.enforce.memory import LastWrite, Memory
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import Outcome, Owner, Reason, State, Write
from ipvsd.status import documents, runtime_dir
from tests.builders import POLICY, RUN, WEB, value
from tests.builders import WALL_NS as NOW_NS
from tests.fakeroot import FakeRoot

NOBODY = 65534
SECRETS = ("secret-name", "secret-mount", "secret-cgroup", "secret-unit", "secret-comm")


@pytest.fixture
def folder():
    """Make a folder that every user can enter, unlike pytest's own."""
    made = tempfile.mkdtemp()
    os.chmod(made, 0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def root(folder):
    """Make a root with ip_vs and with files that a daemon would publish about a namespace."""
    made = FakeRoot(os.path.join(folder, "root"))
    made.load_ip_vs(run_estimation="0")
    name, mount, cgroup, unit, comm = SECRETS
    owner = Owner((mount,), cgroup, "3f2a", unit, 7, comm)
    namespace = WEB._replace(name=name, owner=owner)
    write = Write(namespace, RUN.key, "1", "0", Reason.BIRTH)
    ns_state = NamespaceState(namespace, 1, NOW_NS, 1)
    last = LastWrite(Outcome(write, value("0"), 5), 7, NOW_NS)
    memory = Memory(namespaces={namespace.identity: ns_state}, last_write=last)
    runtime = runtime_dir.RuntimeFolder(made.path)
    runtime.lock()
    counters = documents.counters(memory, 5)
    document = {"guard": "1", "started": "x", "mode": POLICY.mode.value, "scope": "all"}
    document.update(states={State.HELD.value: 1}, sources={}, canary=None, counters=counters)
    events = [{"time": "x", "event": "changed", "message": f"{name} {mount} {comm}"}]
    recent = {"recent": events, "last_write": documents.last_write(memory)}
    namespaces = {"namespaces": [documents.ns_state_document(ns_state, 5)]}
    for file, content in (
        (runtime_dir.STATUS, document),
        (runtime_dir.EVENTS, recent),
        (runtime_dir.NAMESPACES, namespaces),
    ):
        assert runtime_dir.publish(*runtime.rendered(file, content)) is None
    runtime.unlock()
    return made


def hide_processes(hidepid):
    """Give the calling process a /proc that hides the processes of other users."""
    assert ctypes.CDLL(None, use_errno=True).unshare(0x00020000) == 0  # CLONE_NEWNS
    subprocess.check_call(["mount", "--make-rprivate", "/"])
    subprocess.check_call(["mount", "-t", "proc", "-o", f"hidepid={hidepid}", "proc", "/proc"])


def as_nobody(*arguments, before=lambda: None):
    """Run a command as nobody in a process of its own; return its output and exit code.

    `before` is called in that process, still as root.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            before()
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), encoding="utf-8")
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), encoding="utf-8", write_through=True)
            code = cli.main(list(arguments))
            sys.stdout.flush()
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return text, os.WEXITSTATUS(status)


@pytest.mark.parametrize("options", [(), ("--all",), ("--json",)])
def test_status_shows_other_users_how_many_but_not_which(root, capsys, options):
    assert cli.main(["--root", root.path, "status", *options]) == 0
    output_of_root = capsys.readouterr().out
    text, code = as_nobody("--root", root.path, "status", *options)
    assert code == 0 and "running" in text or '"pid"' in text
    assert not [secret for secret in SECRETS if secret in text]
    assert SECRETS[0] in output_of_root, "root sees it"
    if options == ("--json",):
        document = json.loads(text)
        assert document["daemon"]["states"] == {"held": 1}
        assert (document["daemon"]["recent"], document["daemon"]["counters"]["last_write"]) == (
            [],
            None,
        )


def test_the_leftover_of_a_comparison_is_not_shown_as_in_effect(root):
    """The lock of a comparison may be opened by root only, but everybody sees who holds it."""
    cli.main(["--root", root.path, "config"])  # imports what nobody may be unable to read
    descriptor = comparison.begin(root.join(RUNTIME_FOLDER))
    root.write(f"{RUNTIME_FOLDER}/{comparison.DROP_IN}", f"[sysctl]\n{RUN.key} = 1\n")
    text, code = as_nobody("--root", root.path, "config")
    assert code == 0, text
    assert f"{RUN.key} 1 " in " ".join(text.split()) and "cannot tell" not in text
    os.close(descriptor)
    text, code = as_nobody("--root", root.path, "config")
    assert code == 0, text
    assert f"{RUN.key} 0 " in " ".join(text.split()) and "cannot tell" not in text


@pytest.mark.parametrize("hidepid", [1, 2])
@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_a_hidden_daemon_is_not_said_to_be_stopped_or_well(root, capsys, verb, hidepid):
    cli.main(["--root", root.path, verb])  # imports what nobody may be unable to read
    assert "cannot tell" not in capsys.readouterr().out
    hide = functools.partial(hide_processes, hidepid)
    text, code = as_nobody("--root", root.path, verb, before=hide)
    assert code == 5 and "cannot tell whether" in " ".join(text.split())
    assert "NOT RUNNING" not in text and "nothing has leaked" not in text
    text, code = as_nobody("--root", root.path, verb, "--json", before=hide)
    document = json.loads(text)
    if verb == "status":
        assert (code, document["running"], document["daemon"]) == (5, None, None)
    else:
        assert (code, document["failed"]) == (5, ["service"])


def test_only_root_can_read_the_files_with_details_or_change_any(root):
    folder = root.join("run/ipvs-estoff-guard")
    modes = {name: stat.S_IMODE(os.stat(f"{folder}/{name}").st_mode) for name in os.listdir(folder)}
    assert modes.pop("lock") == 0o600
    assert modes == {"status.json": 0o644, "events.json": 0o600, "namespaces.json": 0o600}
    assert {os.stat(f"{folder}/{name}").st_uid for name in modes} == {0}
    assert stat.S_IMODE(os.stat(folder).st_mode) & 0o022 == 0
    with open(f"{folder}/status.json", encoding="utf-8") as file:
        text = file.read()
    assert not [secret for secret in SECRETS if secret in text]
