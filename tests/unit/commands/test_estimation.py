"""`ipvsd estimation` on a fake root: what it writes, applies, removes and refuses."""

import os
from unittest import mock

import pytest
from hypothesis import given

from ipvsd import cli
from ipvsd.commands import estimation
from ipvsd.config import estimation_files, locks
from ipvsd.config.estimation_files import DROP_IN
from ipvsd.model import (
    Exit,
)
from tests.unit.output_checks import (
    all_namespaces,
    check_command,
    encodings,
    few,
    hostile_text,
)

ETC = "etc/ipvs-estoff-guard/conf.d/" + DROP_IN
RUNTIME = "run/ipvs-estoff-guard.conf.d/" + DROP_IN


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        code = cli.main(["--root", root.path, "estimation", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def exists(root, name):
    return os.path.exists(root.join(name))


def test_on_and_off_are_written_applied_and_removed(root, run):
    root.load_ip_vs(run_estimation="0")
    code, out, err = run("on")
    assert (code, err, root.get()) == (Exit.AS_WANTED, "", "1")
    assert f"{root.join(ETC)}: written" in out and "a spike that decays" in out
    code, out, _ = run("on")
    assert "says so already" in out
    code, out, _ = run("off")
    assert (code, root.get(), exists(root, ETC)) == (Exit.AS_WANTED, "0", False)
    assert f"{root.join(ETC)}: removed" in out and "stand still" in out


def test_a_choice_until_the_next_boot_wins_and_a_lasting_one_ends_it(root, run):
    root.load_ip_vs()
    run("on")
    assert run("off", "--runtime")[0] == Exit.AS_WANTED
    assert root.get() == "0" and exists(root, ETC) and exists(root, RUNTIME)
    assert run("on")[0] == Exit.AS_WANTED
    assert root.get() == "1" and exists(root, ETC) and not exists(root, RUNTIME)


def test_before_ip_vs_is_loaded_the_choice_is_written_too(root, run):
    code, out, _ = run("on")
    assert code == Exit.AS_WANTED and "1 absent" in out and exists(root, ETC)


def test_a_name_without_a_namespace_is_reported_and_written(root, run):
    root.load_ip_vs()
    code, out, _ = run("on", "--namespace", "billing")
    assert code == Exit.AS_WANTED and "name:billing: no namespace has this name now" in out
    assert "[sysctl name:billing]" in root.read(ETC)
    assert root.get() == "0"  # all other namespaces stay as configured


def test_another_rule_is_named_and_stays(root, run):
    root.load_ip_vs(run_estimation="0")
    root.configure("[sysctl name:host]\nnet.ipv4.vs.run_estimation = 0\n")
    code, out, _ = run("on")
    assert "stays as another rule says: name:host" in out and root.get() == "0"
    assert run("on", "--namespace", "host")[0] == Exit.AS_WANTED
    assert root.get() == "1"


def test_a_wrong_configuration_is_refused_and_nothing_is_written(root, run):
    root.load_ip_vs(run_estimation="0")
    root.configure("[guard]\nmode = maybe\n")
    code, _, err = run("on")
    assert code == Exit.USAGE and "guard.conf:2" in err
    assert root.get() == "0" and not exists(root, ETC)


def test_a_failed_write_is_one_line(root, run):
    root.write(f"{os.path.dirname(ETC)}/.{DROP_IN}.{os.getpid()}.new/in-the-way", "")
    code, _, err = run("on")
    assert code == Exit.CANNOT_TELL and "nothing was changed" in err and err.count("\n") == 1


def test_a_lock_that_is_not_given_back_is_waited_for_in_vain(root, run, monkeypatch):
    monkeypatch.setattr(estimation_files, "_WAIT_S", 0.1)
    root.load_ip_vs(run_estimation="0")
    with locks.held(root.join("run/ipvs-estoff-guard.conf.d"), ".estimation.lock", 0, "busy"):
        code, out, err = run("on")
    assert (code, out, err.count("\n")) == (Exit.CANNOT_TELL, "", 1)
    assert ".estimation.lock: another `ipvsd estimation` has held this lock" in err
    assert root.get() == "0" and not exists(root, ETC)
    assert run("on")[0] == Exit.AS_WANTED


def test_the_lock_is_for_root_only(root, run):
    run("on")
    path = root.join("run/ipvs-estoff-guard.conf.d/.estimation.lock")
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_choice_until_the_next_boot_needs_the_usual_places(root, capsys):
    arguments = ["--root", root.path, "--config-dir", root.path, "estimation", "on", "--runtime"]
    assert cli.main(arguments) == Exit.USAGE
    assert "--config-dir" in capsys.readouterr().err


def test_a_wrong_name_is_one_line(run):
    code, _, err = run("on", "--namespace", "a b")
    assert code == Exit.USAGE and err.count("\n") == 1


def test_the_value_of_a_key_that_is_not_guarded_is_guarded_from_now_on(root, run):
    root.load_ip_vs()
    root.configure("[sysctl]\nnet.ipv4.vs.run_estimation =\n")
    assert run("off")[0] == Exit.AS_WANTED
    assert root.get() == "0"


def test_other_keys_are_left_to_the_daemon(root, run):
    root.load_ip_vs(run_estimation="0", sync_threshold="3 50")
    root.configure("[sysctl]\nnet.ipv4.vs.sync_threshold = 4 50\n")
    assert run("on")[0] == Exit.AS_WANTED
    assert root.get("sync_threshold") == "3 50"


@few
@given(all_namespaces, hostile_text, encodings)
def test_estimation(loaded_root, now, odd, encoding):
    changed = [odd.replace("\0", "")]
    write = mock.patch.object(estimation.estimation_files, "write", lambda *_a: changed)
    with write, mock.patch.object(estimation, "apply_configuration", lambda *_a: now):
        check_command(loaded_root, ["estimation", "on", "--namespace", "a*"], encoding)
