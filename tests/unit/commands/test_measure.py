"""`ipvsd measure` on a fake root: what it accepts, refuses, prints and saves."""

import json
import os
import sys
import tempfile

import pytest
from hypothesis import given

from ipvsd import cli
from ipvsd.commands import measure
from ipvsd.config import comparison
from ipvsd.kernel.estimation_run import EstimationRun
from ipvsd.measure import compare, measurement
from ipvsd.measure.sampler import Sampler
from ipvsd.measure.statistics import Phase, Pings, Probe, ServiceCount
from ipvsd.model import NS_PER_MS, NS_PER_S, Exit, Namespace
from tests import hostile
from tests.unit.output_checks import (
    check_command,
    encodings,
    few,
    hostile_text,
)


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        code = cli.main(["--root", root.path, "measure", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def brief(monkeypatch):
    """Shorten all times: nothing here waits for a kernel or for another program."""
    monkeypatch.setattr(measure, "NS_PER_S", NS_PER_MS)  # the shortest duration that is accepted
    for module in (measure, compare):
        monkeypatch.setattr(module, "HOLD_NS", 50 * NS_PER_MS)
    monkeypatch.setattr(compare, "PERIOD_NS", 50 * NS_PER_MS)


@pytest.fixture
def saved(tmp_path):
    host = measurement.Host("node", "6.1", "now", "live", "timer", 2, None, ())
    runs = (EstimationRun(NS_PER_S, 4 * NS_PER_MS, 0, True, 7),)
    pings = Pings((Probe(0, NS_PER_MS),), 1)
    phase = Phase("as found", 0, 2 * NS_PER_S, runs, pings=pings)
    document = measurement.document(
        host, [ServiceCount(Namespace(4, 7, "host"), "1", 1, 1)], [phase]
    )
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(document))
    return str(path)


@pytest.mark.parametrize(
    "why, arguments, words",
    [
        ("too short", ["--duration", "500ms"], "--duration is not between 1s and 1h"),
        ("too long", ["--duration", "2h"], "--duration is not between 1s and 1h"),
        (
            "too many probes",
            ["--interval", "1ms"],
            "--interval is not between 2ms and the duration",
        ),
        ("no probe at all", ["--interval", "30s"], "--interval is not between"),
        ("toggling too fast", ["--compare", "--duration", "2s"], "at least 3 s"),
        ("comparing a saved measurement", ["--show", "x", "--compare"], "--show measures nothing"),
        ("no file", ["--show", "/nowhere/x"], "/nowhere/x: No such file"),
        ("no folder", ["--save", "/nowhere/x"], "/nowhere/x: cannot be written"),
        ("a folder", ["--save", "/tmp"], "/tmp: cannot be written"),
        ("another kind of picture", ["--plot", "x.pdf"], "only .svg and .png"),
        ("no such namespace", ["--namespace", "nowhere"], "no namespace matches now"),
        ("no selector", ["--namespace", "name:"], "has no pattern"),
    ],
)
def test_wrong_usage_is_one_line(run, why, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (Exit.USAGE, "", 1), why
    assert words in err


def test_a_wrong_duration_is_reported_by_the_parser(run, capsys):
    with pytest.raises(SystemExit) as ended:
        run("--duration", "soon")
    assert ended.value.code == Exit.USAGE


def test_without_ip_vs_only_a_note_is_printed(brief, run):
    code, out, err = run("--duration", "100ms")
    assert (code, err) == (Exit.AS_WANTED, "")
    assert "Note: ip_vs is absent: nothing is estimated" in out


def test_without_tracefs_only_the_prediction_is_shown(brief, root, run):
    root.load_ip_vs()
    root.write("proc/thread-self/net/ip_vs", "a\nb\nc\nTCP  x\n  -> y\n  -> z\n")
    root.write("sys/devices/system/cpu/possible", "0-103\n")
    code, out, err = run("--duration", "100ms", "--json")
    document = json.loads(out)
    assert (code, err) == (Exit.CANNOT_TELL, "")
    assert document["namespaces"][0]["services"] == 1
    assert document["namespaces"][0]["estimators"] == 4
    assert document["namespaces"][0]["predicted_usec"] == [14, 21]
    assert document["phases"][0]["passes"] is None
    assert "kprobes are unavailable" in document["notes"][0]
    assert root.get() == "1", "nothing is switched"


def test_without_root_only_the_prediction_is_shown(root, run, monkeypatch):
    root.load_ip_vs()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, out, err = run()
    assert code == Exit.NOT_PERMITTED and err.count("\n") == 1 and "needs root" in err
    assert "NAMESPACE" in out


@pytest.mark.parametrize("compare", [["--compare"], ["--compare", "--yes"]])
def test_without_ip_vs_nothing_is_compared(run, compare):
    code, out, err = run(*compare)
    assert (code, out) == (Exit.CANNOT_TELL, "") and "ip_vs is not loaded" in err


def test_a_kernel_that_cannot_switch_estimation_off_compares_nothing(root, run):
    root.load_ip_vs(am_droprate="10")
    code, _, err = run("--compare", "--yes")
    assert code == Exit.UNSUPPORTED and "cannot switch estimation off" in err


def test_nothing_is_compared_where_estimation_is_wanted_on(root, run):
    root.load_ip_vs()
    root.configure("[sysctl]\nnet.ipv4.vs.run_estimation = 1\n")
    code, _, err = run("--compare", "--yes")
    assert code == Exit.NOT_AS_WANTED and "does not want estimation off in any namespace" in err


def test_nothing_is_switched_without_confirmation(root, run, monkeypatch):
    root.load_ip_vs(run_estimation="0")
    monkeypatch.setattr(sys, "stdin", open(os.devnull))
    code, _, err = run("--compare")
    assert code == Exit.USAGE and "add --yes" in err
    assert root.get() == "0"
    sys.stdin.close()


def test_a_comparison_switches_by_a_drop_in_and_restores_the_value(brief, root, run, monkeypatch):
    values = []
    run_phase = Sampler.run

    def note_and_measure(sampler, name, task):
        values.append((name, root.get()))
        return run_phase(sampler, name, task)

    monkeypatch.setattr(Sampler, "run", note_and_measure)
    root.load_ip_vs(run_estimation="0")
    code, out, _ = run("--compare", "--yes", "--duration", "100ms")
    assert code == Exit.CANNOT_TELL, "there is no tracefs"
    assert "OFF AGAIN" in out
    assert values == [("on", "1"), ("off", "0"), ("off again", "0")]
    assert root.get() == "0"
    assert os.listdir(root.join("run/ipvs-estoff-guard.conf.d")) == [".measure.lock"]


def test_the_drop_in_of_a_killed_comparison_is_removed(brief, root, run):
    root.load_ip_vs(run_estimation="1")
    drop_in = "run/ipvs-estoff-guard.conf.d/95-measure.conf"
    root.write(drop_in, "[sysctl]\nnet.ipv4.vs.run_estimation = 1\n")
    run("--compare", "--yes", "--duration", "100ms")
    assert root.get() == "0" and not os.path.exists(root.join(drop_in))


def test_only_one_comparison_at_a_time(root, run):
    root.load_ip_vs(run_estimation="0")
    descriptor = comparison.begin(root.join("run/ipvs-estoff-guard.conf.d"))
    code, _, err = run("--compare", "--yes")
    os.close(descriptor)
    assert code == Exit.CANNOT_TELL and "another comparison or refresh is running" in err


def test_a_comparison_needs_the_systems_own_places(root, run, capsys):
    code = cli.main(["--root", root.path, "--config-dir", root.path, "measure", "--compare"])
    assert code == Exit.USAGE and "--config-dir" in capsys.readouterr().err


def test_a_saved_measurement_is_shown_as_it_was_saved(run, saved, tmp_path):
    code, text, _ = run("--show", saved)
    assert code == Exit.AS_WANTED and "Estimation held a CPU 1 time, for" in text
    assert json.loads(run("--show", saved, "--json")[1]) == json.loads(open(saved).read())


def test_saving_prints_the_same(brief, run, tmp_path):
    path = str(tmp_path / "new.json")
    _, text, _ = run("--duration", "100ms", "--save", path)
    assert run("--show", path)[1] == text


def test_a_file_without_a_measurement_is_refused(run, tmp_path):
    path = tmp_path / "x\x1b.json"
    path.write_text("{}")
    code, out, err = run("--show", str(path))
    assert (code, out) == (Exit.USAGE, "") and "was not written by `ipvsd measure --save`" in err
    assert "\x1b" not in err


def test_a_plot_needs_matplotlib_and_is_refused_before_measuring(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run("--plot", str(tmp_path / "x.svg"))
    assert (code, out) == (Exit.CANNOT_TELL, "") and "python3-matplotlib" in err


@few
@given(hostile_text, encodings)
def test_measure_of_a_file(loaded_root, odd, encoding):
    def replaced(value):
        if isinstance(value, dict):
            return {name: replaced(one) for name, one in value.items()}
        if isinstance(value, list):
            return [replaced(one) for one in value]
        return odd if isinstance(value, str) else value

    (seed,) = hostile.TARGETS["measurement"].seeds
    document = dict(replaced(json.loads(seed.decode())), kind="ipvsd measure")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "saved.json")
        with open(path, "w", encoding="ascii") as file:
            json.dump(document, file)
        check_command(loaded_root, ["measure", "--show", path], encoding)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(odd.encode("utf-8", "replace").decode())
        check_command(loaded_root, ["measure", "--show", path], encoding, [Exit.USAGE])
