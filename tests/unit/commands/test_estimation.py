"""`ipvsd estimation` on a fake root: what it writes, applies, removes and refuses."""

import errno
import json
import os
import re
import time
from unittest import mock

import pytest
from hypothesis import given

from ipvsd import cli
from ipvsd.commands import estimation
from ipvsd.config import estimation_files, locks, until
from ipvsd.config.estimation_files import DROP_IN, TEMPORARY
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
FOR = "run/ipvs-estoff-guard.conf.d/" + TEMPORARY
RUN = "net.ipv4.vs.run_estimation"


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


def test_a_name_without_a_namespace_is_refused_and_nothing_is_written(root, run):
    root.load_ip_vs()
    code, out, err = run("on", "--namespace", "host", "--namespace", "billing")
    assert (code, out, err.count("\n")) == (Exit.NOT_AS_WANTED, "", 1)
    assert "name:billing: no namespace has this name now" in err and "--force" in err
    assert not exists(root, ETC) and root.get() == "1"


def test_a_choice_for_a_name_without_a_namespace_can_be_forced_and_taken_back(root, run):
    root.load_ip_vs()
    code, out, err = run("on", "--force", "--namespace", "billing")
    assert (code, err) == (Exit.AS_WANTED, "") and "stand still" not in out
    assert "[sysctl name:billing]" in root.read(ETC)
    assert run("off", "--namespace", "billing")[0] == Exit.AS_WANTED
    assert not exists(root, ETC)
    assert root.get() == "0"  # all other namespaces stay as configured


def test_another_rule_is_named_and_stays(root, run):
    root.load_ip_vs(run_estimation="0")
    root.configure("[sysctl name:host]\nnet.ipv4.vs.run_estimation = 0\n")
    code, out, err = run("on")
    assert (code, root.get()) == (Exit.NOT_AS_WANTED, "0")
    path = root.join("etc/ipvs-estoff-guard/guard.conf")
    assert f"{RUN} stays 0: [sysctl name:host] in {path}:2 prevails" in err
    assert "statistics" not in out
    assert run("on", "--namespace", "host")[0] == Exit.AS_WANTED
    assert root.get() == "1"


def test_a_later_file_that_says_otherwise_prevails(root, run):
    root.load_ip_vs(run_estimation="1")
    root.configure(f"[sysctl]\n{RUN} = 1\n", "conf.d/99-site.conf")
    code, out, err = run("off")
    assert (code, root.get()) == (Exit.NOT_AS_WANTED, "1")
    assert "conf.d/99-site.conf:2 prevails" in err and "stand still" not in out


@pytest.mark.parametrize("names, code", [(["--namespace", "host"], 1), ([], 0)])
def test_an_exclusion_prevails_over_a_name(root, run, names, code):
    root.load_ip_vs(run_estimation="0")
    root.configure("[namespaces]\nexclude = name:host\n")
    found, out, err = run("on", *names)
    assert (found, root.get()) == (code, "0") and "statistics" not in out
    assert ("stays as it is: excluded by name:host" in err) is bool(names)


def test_a_choice_for_a_time_wins_and_then_counts_no_longer(root, run, monkeypatch):
    root.load_ip_vs(run_estimation="0")
    began_s = time.time()
    code, out, err = run("on", "--for", "10min")
    assert (code, root.get()) == (Exit.AS_WANTED, "1") and f"{root.join(FOR)}: written" in out
    assert "no guard runs, so nothing sets the value back; run `ipvsd apply` then" in err
    (end,) = re.findall(r"\[until (.*)\]", root.read(FOR))
    assert 600 <= until.parse(end) / 1e9 - began_s <= 603
    monkeypatch.setattr(time, "time", lambda: until.parse(end) / 1e9 - 0.001)
    assert cli.main(["--root", root.path, "apply"]) == Exit.AS_WANTED and root.get() == "1"
    monkeypatch.setattr(time, "time", lambda: until.parse(end) / 1e9)
    assert cli.main(["--root", root.path, "apply"]) == Exit.AS_WANTED and root.get() == "0"
    run("on", "--for", "2s", "--force", "--namespace", "x")
    assert root.read(FOR).count("[until ") == 1, "what is over was removed"


def test_a_choice_for_a_time_leaves_earlier_ones_and_a_later_one_ends_it(root, run):
    root.load_ip_vs(run_estimation="0")
    run("on", "--runtime")
    assert run("off", "--for", "1h")[0] == Exit.AS_WANTED and root.get() == "0"
    assert exists(root, RUNTIME) and exists(root, FOR)
    assert run("on", "--runtime")[0] == Exit.AS_WANTED and root.get() == "1"
    assert exists(root, RUNTIME) and not exists(root, FOR)


def test_off_in_one_namespace_wins_over_on_everywhere_for_a_time(root, run):
    root.load_ip_vs(run_estimation="0")
    run("on", "--for", "1h")
    assert run("off", "--namespace", "host")[0] == Exit.AS_WANTED and root.get() == "0"
    assert "[sysctl name:host]" in root.read(ETC) and exists(root, FOR)


def test_the_end_is_in_the_json_of_the_commands(root, run, capsys):
    root.load_ip_vs()
    document = json.loads(run("on", "--for", "1h", "--json")[1])
    (key,) = document["namespaces"][0]["keys"]
    assert key["until"] == document["until"] and document["until"].endswith("Z")
    cli.main(["--root", root.path, "config", "--json"])
    shown = json.loads(capsys.readouterr().out)["sysctl"][RUN]
    assert shown["until"] == document["until"] and shown["origin"].endswith(f"{FOR}:5")


@pytest.mark.parametrize("time", ["0s", "999ms", "721h", "soon"])
def test_a_wrong_time_is_refused(root, run, time):
    try:
        code = run("on", "--for", time)[0]
    except SystemExit as wrong:
        code = wrong.code
    assert code == Exit.USAGE and not exists(root, FOR)


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


@pytest.mark.parametrize("names", [[], ["--namespace", "nobody-has-it"]])
@pytest.mark.parametrize("function", ["os.makedirs", "os.open"])
def test_an_ordinary_user_gets_one_line_and_its_own_exit_code(root, run, names, function):
    def refuse(path, *_arguments, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    root.load_ip_vs(run_estimation="0")
    with mock.patch(function, refuse):
        code, out, err = run("on", *names)
    assert (code, out, err.count("\n")) == (Exit.NOT_PERMITTED, "", 1)
    assert "needs root" in err and "nothing was changed" in err and root.get() == "0"


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
    # What os.fsdecode() can return: no zero byte, and no surrogate but those for single bytes.
    changed = [re.sub("[\0\ud800-\udc7f\udd00-\udfff]", "?", odd)]
    names = mock.patch.object(estimation, "_check_names", lambda *_a: None)
    write = mock.patch.object(estimation.estimation_files, "write", lambda *_a: changed)
    with names, write, mock.patch.object(estimation, "apply_configuration", lambda *_a: now):
        check_command(loaded_root, ["estimation", "on", "--namespace", "a*"], encoding)
