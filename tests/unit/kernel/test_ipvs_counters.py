"""IPVS's counters of each CPU, and the command that shows them."""

import json

import pytest

from ipvsd import cli
from ipvsd.kernel import ipvs_counters
from ipvsd.kernel.ipvs_counters import Counters, Rates, Readout
from ipvsd.model import NS_PER_S, Exit
from ipvsd.text import format_count

# The kernel's file for two CPUs; the second had traffic after the last estimation run.
TEXT = """\
       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0        2        A        8              6E4              1F4
  1        1        3        0              100                0
  ~        2        A        8              6E4              1F4

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           5        5        5                5                5
"""
LIVE = Counters(3, 13, 8, 2020, 500)


def test_the_sum_over_the_cpus_is_the_live_count():
    assert ipvs_counters.parse(TEXT) == Readout(LIVE, Counters(2, 10, 8, 1764, 500))


def test_cpu_twelve_is_no_heading():
    text = TEXT.replace("\n  1 ", "\n  C ")
    assert ipvs_counters.parse(text) == ipvs_counters.parse(TEXT)


@pytest.mark.parametrize("text", ["", "x", TEXT[:130], "a b c d e f\n", "~ x x x x x\n", "~ 1 2\n"])
def test_text_without_such_a_table_has_no_counters(text):
    assert ipvs_counters.parse(text) is None


def test_rates():
    later = Counters(5, 13, 10, 3020, 500)
    assert ipvs_counters.rates(LIVE, later, 2 * NS_PER_S) == Rates(1.0, 0.0, 1.0, 500.0, 0.0)


def test_counters_that_were_reset_have_no_rate():
    assert ipvs_counters.rates(LIVE, Counters(1, 99, 99, 9999, 9999), NS_PER_S) == Rates()


@pytest.mark.parametrize(
    "number, text",
    [
        (0, "0"),
        (0.25, "0.25"),
        (999, "999"),
        (1000, "1k"),
        (1234567, "1.23M"),
        (5e9, "5G"),
        (2.5e15, "2.5e+03T"),
    ],
)
def test_a_count_is_short(number, text):
    assert format_count(number) == text


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        command = ["--root", root.path, "stats", "--interval", "100ms", *arguments]
        return cli.main(command), capsys.readouterr().out

    return call


def test_without_ip_vs_there_is_nothing_to_count(run):
    code, out = run()
    assert code == Exit.AS_WANTED and "not loaded" in out
    assert json.loads(run("--json")[1])["namespaces"] == []


def test_a_table_and_json(root, run):
    root.load_ip_vs(run_estimation="0")
    root.write("proc/thread-self/net/ip_vs_stats_percpu", TEXT)
    code, out = run()
    heading, host, behind, single = out.splitlines()
    assert code == Exit.AS_WANTED
    assert host.split()[0] == "host"
    assert host.split()[2:] == ["3", "0", "13", "0", "8", "0", "2.02k", "0", "500", "0"]
    assert heading.split()[:3] == ["NAMESPACE", "CONNS", "CONNS/s"]
    assert "behind in 1 of them" in behind and "ActiveConn" in single
    (one,) = json.loads(run("--json")[1])["namespaces"]
    assert one["live"]["bytes_in"] == 2020 and one["estimated"]["bytes_in"] == 1764


def test_a_wrong_interval_is_wrong_usage(run):
    with pytest.raises(SystemExit) as ended:
        run("--interval", "soon")
    assert ended.value.code == Exit.USAGE
