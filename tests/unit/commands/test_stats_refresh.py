"""`ipvsd stats --services --refresh` on a fake root, without probes: one run, by the clock."""

import io
import json
import os
import sys

import pytest

from ipvsd import cli
from ipvsd.config import comparison
from ipvsd.measure import refresh
from ipvsd.model import NS_PER_MS, Exit
from ipvsd.system import ipvsadm

RUN = "net.ipv4.vs.run_estimation"
DROP_IN = "run/ipvs-estoff-guard.conf.d/95-measure.conf"


@pytest.fixture
def run(root, capsys, monkeypatch):
    """Run the command where ipvsadm tells the value and the drop-in at the time of its call."""
    for name in ("PERIOD_NS", "_LATE_NS"):
        monkeypatch.setattr(refresh, name, 50 * NS_PER_MS)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(ipvsadm, "_PATH", root.join("bin"))
    root.write("bin/ipvsadm", "#!/bin/sh\necho 'TCP  192.0.2.1:80  3  18  12  960  780'\n")
    os.chmod(root.join("bin/ipvsadm"), 0o755)
    table = "a heading\n" * 3 + "TCP  C0000201:0050 rr\n"
    root.write("proc/thread-self/net/ip_vs", table)
    root.write("sys/devices/system/cpu/possible", "0-103\n")

    def call(*arguments):
        words = ["stats", "--services", "--refresh", *arguments]
        code = cli.main(["--root", root.path, *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def watch(monkeypatch, root, seen):
    """Note value and drop-in while the estimation run is awaited."""
    await_runs = refresh._await_runs

    def noted(*arguments):
        seen.append((root.get(), root.read(DROP_IN)))
        return await_runs(*arguments)

    monkeypatch.setattr(refresh, "_await_runs", noted)


def test_estimation_is_on_for_the_run_and_off_again(root, run, monkeypatch):
    root.load_ip_vs(run_estimation="0")
    seen = []
    watch(monkeypatch, root, seen)
    code, out, err = run("--yes")
    ((value, drop_in),) = seen
    assert value == "1" and "--refresh`, pid" in drop_in
    assert "[until 2" in drop_in and f"[sysctl]\n{RUN} = 1\n" in drop_in
    assert root.get() == "0" and not os.path.exists(root.join(DROP_IN))
    assert code == Exit.AS_WANTED
    # Two estimators on 104 possible CPUs, each counter for 35 to 52 ns.
    assert "A run is expected to hold a CPU for 7 us to 10 us in " in err
    assert out.startswith("refreshed: estimation was on in 1 namespace")
    assert "TCP 192.0.2.1:80" in out


def test_the_document_says_that_it_was_refreshed(root, run):
    root.load_ip_vs(run_estimation="0")
    document = json.loads(run("--yes", "--json")[1])
    assert document["refreshed"]["namespaces"] == 1 and document["refreshed"]["runs"] is None


@pytest.mark.parametrize("answer, switched", [("y\n", True), ("n\n", False), ("", False)])
def test_it_asks_on_a_terminal(root, run, monkeypatch, answer, switched):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    root.load_ip_vs(run_estimation="0")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    seen = []
    watch(monkeypatch, root, seen)
    code, _, err = run()
    assert bool(seen) is switched and "This switches estimation on in 1 namespace" in err
    assert code == (Exit.AS_WANTED if switched else Exit.USAGE)


def test_an_interrupted_wait_switches_off_again(root, run, monkeypatch):
    def interrupted(*_):
        raise SystemExit(130)

    root.load_ip_vs(run_estimation="0")
    monkeypatch.setattr(refresh, "_await_runs", interrupted)
    with pytest.raises(SystemExit):
        run("--yes")
    assert root.get() == "0" and not os.path.exists(root.join(DROP_IN))


THREADS = {"run_estimation": "0", "est_nice": "0"}


@pytest.mark.parametrize(
    "why, keys, configuration, arguments, code, words",
    [
        ("nobody to ask", {}, "", [], Exit.USAGE, "add --yes"),
        ("threads", THREADS, "", ["--yes"], Exit.UNSUPPORTED, "strategy = steer"),
        ("observing", {}, "[guard]\nmode = observe\n", ["--yes"], Exit.NOT_AS_WANTED, "observe"),
        ("on", {}, f"[sysctl]\n{RUN} = 1\n", ["--yes"], Exit.NOT_AS_WANTED, "does not want"),
    ],
)
def test_where_nothing_is_switched(
    root, run, monkeypatch, why, keys, configuration, arguments, code, words
):
    root.load_ip_vs(**(keys or {"run_estimation": "0"}))
    root.configure(configuration)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    seen = []
    watch(monkeypatch, root, seen)
    found, out, err = run(*arguments)
    assert (found, out, seen) == (code, "", []) and words in err, why
    assert root.get() == "0" and not os.path.exists(root.join(DROP_IN))


def test_one_at_a_time(root, run):
    root.load_ip_vs(run_estimation="0")
    descriptor = comparison.begin(root.join("run/ipvs-estoff-guard.conf.d"))
    try:
        code, _, err = run("--yes")
        assert code == Exit.CANNOT_TELL and "another comparison or refresh is running" in err
    finally:
        os.close(descriptor)


def test_without_ipvsadm_nothing_is_switched(root, run, monkeypatch):
    root.load_ip_vs(run_estimation="0")
    os.unlink(root.join("bin/ipvsadm"))
    seen = []
    watch(monkeypatch, root, seen)
    assert run("--yes")[0] == Exit.CANNOT_TELL and seen == []


def test_it_refreshes_services_only(root, capsys):
    root.load_ip_vs(run_estimation="0")
    assert cli.main(["--root", root.path, "stats", "--refresh"]) == Exit.USAGE
    assert "--refresh needs --services" in capsys.readouterr().err
