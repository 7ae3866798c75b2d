"""The command line, run in this process on a fake root."""

import json
import os
import subprocess
import sys

import pytest

import ipvsd
from ipvsd import cli
from ipvsd.model import Exit

RUN = "net.ipv4.vs.run_estimation"


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        code = cli.main(["--root", root.path, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def nothing(_root):
    pass


def loaded(root):
    root.load_ip_vs()


def loaded_and_off(root):
    root.load_ip_vs(run_estimation="0")


def unsupported(root):
    root.load_ip_vs(am_droprate="10")


def loading(root):
    root.load_ip_vs("coming", am_droprate="10")


def misconfigured(root):
    root.configure("[guard]\nmode = maybe\n")


@pytest.mark.parametrize(
    "make, arguments, code, words",
    [
        (nothing, ["status"], Exit.AS_WANTED, "absent"),
        (loaded, ["status"], Exit.NOT_AS_WANTED, "to be changed"),
        (loaded_and_off, ["status"], Exit.AS_WANTED, "off"),
        (unsupported, ["status"], Exit.UNSUPPORTED, "unsupported"),
        (loading, ["status"], Exit.NOT_AS_WANTED, "loading"),
        (nothing, ["apply"], Exit.AS_WANTED, RUN + ": ip_vs is not loaded, nothing to set"),
        (loaded, ["apply"], Exit.AS_WANTED, "set " + RUN + " in host"),
        (loaded, ["apply", "--dry-run"], Exit.NOT_AS_WANTED, "would set " + RUN),
        (loaded_and_off, ["apply"], Exit.AS_WANTED, RUN + ": is 0, as wanted"),
        (unsupported, ["apply"], Exit.UNSUPPORTED, "unsupported by ip_vs of the running kernel"),
        (loading, ["apply"], Exit.NOT_AS_WANTED, "ip_vs is still loading"),
        (misconfigured, ["apply"], Exit.USAGE, "guard.conf:2: mode = maybe: is neither"),
        (misconfigured, ["status"], Exit.USAGE, "guard.conf:2: mode = maybe: is neither"),
        (misconfigured, ["config"], Exit.USAGE, "guard.conf:2: mode = maybe: is neither"),
        (nothing, ["config"], Exit.AS_WANTED, "built-in default"),
    ],
)
def test_output_and_exit_code(root, run, make, arguments, code, words):
    make(root)
    assert run(*arguments)[0] == code
    make(root)
    _, out, err = run(*arguments)
    assert words in out + err


def test_apply_changes_the_value_and_dry_run_does_not(root, run):
    root.load_ip_vs()
    run("apply", "--dry-run")
    assert root.get() == "1"
    run("apply")
    assert root.get() == "0"


def test_apply_writes_in_observe_mode_too(root, run):
    root.load_ip_vs()
    root.configure("[guard]\nmode = observe\n")
    assert run("apply")[0] == Exit.AS_WANTED
    assert root.get() == "0"


@pytest.mark.parametrize(
    "arguments, version", [(["status"], 2), (["apply", "--dry-run"], 2), (["config"], 1)]
)
def test_json_is_json_alone_and_has_a_version(root, run, arguments, version):
    root.load_ip_vs()
    _, out, err = run(*arguments, "--json")
    assert json.loads(out)["version"] == version
    assert err == ""


@pytest.mark.parametrize("verb", ["status", "apply", "config"])
def test_quiet_prints_nothing_when_all_is_as_wanted(root, run, verb):
    root.load_ip_vs(run_estimation="0")
    assert run(verb, "--quiet") == (Exit.AS_WANTED, "", "")


def test_config_check_fails_on_warnings_and_config_does_not(root, run):
    root.configure("[guard]\nresink = 3s\n")
    code, _, err = run("config")
    assert code == Exit.AS_WANTED and "guard.conf:2: unknown key resink" in err
    assert run("config", "--check")[0] == Exit.USAGE


def test_config_lists_every_problem(root, run):
    root.configure("[guard]\nmode = x\nresync = y\n")
    assert run("config")[2].count("\n") == 2


def test_config_names_the_line_of_each_value(root, run):
    root.configure("[sysctl]\nnet.ipv4.vs.sync_threshold = 3 50\n", "conf.d/a.conf")
    _, out, _ = run("config", "--json")
    entry = json.loads(out)["sysctl"]["net.ipv4.vs.sync_threshold"]
    origin = root.join("etc/ipvs-estoff-guard/conf.d/a.conf:2")
    assert entry == {"value": "3 50", "origin": origin, "until": None}


def test_a_value_from_the_kernel_cannot_steer_the_terminal(root, run):
    root.load_ip_vs(run_estimation="1\x1b[2J\n2")
    _, out, _ = run("status")
    assert "\x1b" not in out and "\\x1b" in out


def test_a_watch_shows_page_after_page_until_it_is_interrupted(root, run, monkeypatch):
    root.load_ip_vs()
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("ipvsd.commands.status.time.sleep", nap)
    code, out, _ = run("status", "--watch", "--interval", "500ms")
    assert (code, naps) == (130, [0.5] * 3)
    assert out.count("NAMESPACE") == 3
    naps.clear()
    _, out, _ = run("status", "--watch", "--json")
    assert [json.loads(line)["version"] for line in out.splitlines()] == [2] * 3


def test_each_verb_has_its_module_and_each_module_its_verb():
    folder = os.path.join(os.path.dirname(cli.__file__), "commands")
    found = set()
    for name in os.listdir(folder):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found |= {name[:-3]} if "\ndef add_arguments(" in file.read() else set()
    assert found == set(cli.VERBS)


def test_wrong_usage_is_two(run):
    for arguments in ([], ["nonsense"], ["status", "--nonsense"]):
        with pytest.raises(SystemExit) as ended:
            run(*arguments)
        assert ended.value.code == Exit.USAGE


@pytest.mark.parametrize("verb", [["status", "--watch"], ["stats"], ["stats", "--watch"]])
@pytest.mark.parametrize("time", ["0", "99ms", "61min", "999999999h", "999999999h" * 99])
def test_an_interval_without_sense_is_refused(run, capsys, verb, time):
    with pytest.raises(SystemExit) as ended:
        run(*verb, "--interval", time)
    assert ended.value.code == Exit.USAGE
    assert "--interval: " in capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    with pytest.raises(SystemExit) as ended:
        cli.main(["--debug", "--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ipvsd {ipvsd.__version__}\n" * 2


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_error_is_one_line_without_debug(run, monkeypatch, debug):
    def broken(_folder):
        raise RuntimeError("broken")

    monkeypatch.setattr("ipvsd.config.files.load", broken)
    code, _, err = run(*(["--debug"] if debug else []), "status")
    assert code == Exit.CANNOT_TELL
    assert "unexpected RuntimeError: broken" in err
    assert ("Traceback" in err) is debug


# What takes long to import, and what only the named verbs need.
HEAVY = {"asyncio", "inspect", "logging", "matplotlib", "pyudev", "ssl", "unittest"}
WORKER = {"signal", "socket"}  # for its process, which enters other namespaces
SELDOM = {"psutil", "ctypes", "datetime", "difflib", "shutil", "signal", "socket", "subprocess"}


def modules(code, *words):
    """Return the names of the modules that a Python has at its end when it runs some code."""
    tell = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    command = [sys.executable, "-I", "-c", f"{tell}sys.path[:0] = ['.']; {code}", *words]
    home = os.path.dirname(os.path.dirname(cli.__file__))
    done = subprocess.run(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return set(done.stderr.decode().splitlines()[-1].split())


@pytest.mark.parametrize(
    "words, needless",
    [
        (["--version"], {"argparse", "enum", "json", "re", "typing"} | SELDOM),
        (["status"], {"ipvsd.journal", "ipvsd.measure", "ipvsd.daemon"} | SELDOM),
        (["apply"], {"ipvsd.journal", "ipvsd.measure", "ipvsd.daemon"} | SELDOM),
        (["config"], {"ipvsd.enforce", "ipvsd.kernel.sysctl", "json", "threading"} | SELDOM),
        (["stats", "--interval", "100ms"], {"ipvsd.measure", "ipvsd.daemon"} | SELDOM - WORKER),
        (["doctor"], {"ipvsd.measure", "ipvsd.daemon"}),
        (["nonsense"], {"ipvsd.enforce", "ipvsd.kernel.sysctl", "threading"}),
    ],
)
def test_a_command_imports_only_what_it_needs(root, words, needless):
    root.load_ip_vs(run_estimation="0")
    root_words = [] if words == ["--version"] else ["--root", root.path]
    run_it = "from ipvsd import cli; sys.exit(cli.main())"
    found = modules(run_it, *root_words, *words) - modules("")
    assert "ipvsd.cli" in found
    # Python 3.8's own argparse takes shutil along.
    taken_along = set() if words == ["--version"] else modules("import argparse")
    assert found & (HEAVY | needless) - taken_along == set()
    verbs = {name.rpartition(".")[2] for name in found if name.startswith("ipvsd.commands.")}
    assert verbs & set(cli.VERBS) == set(words[:1]) & set(cli.VERBS)
