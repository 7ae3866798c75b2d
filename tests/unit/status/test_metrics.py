"""Metrics, the buckets they are counted in, and the file that they are written to."""

import os
import re

import pytest
from hypothesis import given

from ipvsd.enforce.histogram import BOUNDS_NS, Histogram
from ipvsd.enforce.memory import Memory
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import (
    NS_PER_MS,
    NS_PER_S,
    State,
)
from ipvsd.status import documents, metrics, runtime_dir
from ipvsd.status.metrics import Running
from ipvsd.system import files
from ipvsd.text import MAX_PRINTED
from tests.status_document import STATUS
from tests.unit.output_checks import (
    check,
    hostile_text,
)


def rendered(**changes):
    status = dict(STATUS, **changes)
    text = metrics.render(status, Running("6.1.0", "timer"), Counters(1, 2, 3, 4, 5))
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, number = line.rpartition(" ")
            samples[name[len("ipvs_estoff_guard_") :]] = float(number)
    return samples


def test_what_the_daemon_knows_is_there():
    counters = dict(STATUS["counters"], exposed_usec=1500000, passes_leaked=2, loads=7)
    counters["writes"] = {"load": 5, "birth": 9}
    samples = rendered(counters=counters)
    assert samples['namespaces{state="off"}'] == 3
    assert samples['namespaces{state="contested"}'] == 1
    assert samples['writes_total{reason="birth"}'] == 9
    assert samples["exposed_seconds_total"] == 1.5
    assert samples["estimation_passes_leaked_total"] == 2
    assert samples["module_loads_total"] == 7
    assert samples['source_up{source="births"}'] == 1
    assert samples['source_up{source="mounts"}'] == 0
    assert samples["canary_success"] == 1 and samples["canary_seconds"] == 0.0025
    assert samples['host_bytes_total{direction="out"}'] == 5
    assert samples['kernel_info{release="6.1.0",estimator="timer",ip_vs="live"}'] == 1


def test_each_state_is_there_while_it_is_nought():
    samples = rendered(states={})
    shown = {re.sub('.*"(.*)".*', r"\1", name) for name in samples if name.startswith("namesp")}
    assert shown == {"off", "on", *(one.value for one in State if one is not State.GONE)}


def test_without_canary_there_is_no_sample_of_one():
    assert not [name for name in rendered(canary=None) if name.startswith("canary")]
    failed = rendered(canary={"fixed_usec": None, "error": "not set in time", "time": "x"})
    assert failed["canary_success"] == 0 and "canary_seconds" not in failed


def test_labels_cannot_break_a_line():
    text = metrics.render(dict(STATUS, guard='1"\n\\x'), Running("6", "none"), None)
    assert 'version="1\\"\\\\n\\\\x"' in text
    assert "host_" not in text


@pytest.mark.parametrize(
    "why, durations_ns, cumulative",
    [
        ("none", [], [0] * 13),
        ("at a bound it belongs below", [BOUNDS_NS[0]], [1] * 13),
        ("just above", [BOUNDS_NS[0] + 1], [0] + [1] * 12),
        ("longer than all", [11 * NS_PER_S], [0] * 12 + [1]),
        ("several", [NS_PER_MS, 3 * NS_PER_MS, 60 * NS_PER_S], [1, 1] + [2] * 10 + [3]),
    ],
)
def test_buckets(why, durations_ns, cumulative):
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram = histogram.plus(duration_ns)
    assert histogram.cumulative == cumulative, why
    assert histogram.sum_ns == sum(durations_ns)
    assert histogram.slowest_ns == max(durations_ns, default=0)


def test_shares_of_reactions_are_told_by_bounds():
    memory = Memory()
    reactions = Histogram()
    for number in range(20):
        reactions = reactions.plus(NS_PER_MS if number < 18 else 400 * NS_PER_MS)
    memory = memory._replace(tally=memory.tally._replace(reactions=reactions))
    document = documents.counters(memory, 0)["reactions"]
    assert documents.within(document, 0.5) == "1.0 ms"
    assert documents.within(document, 0.95) == "500.0 ms"
    document = dict(document, buckets=[[1, 0]])
    assert documents.within(document, 0.5) == "more than 10 s"


def test_a_file_is_replaced_at_one_stroke_and_all_may_read_it(tmp_path):
    path = tmp_path / "x.prom"
    path.write_text("old")
    reader = open(str(path))
    mask = os.umask(0o077)
    try:
        assert runtime_dir.publish(str(path), "new") is None
    finally:
        os.umask(mask)
    assert reader.read() == "old" and path.read_text() == "new"
    reader.close()
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(str(tmp_path)) == ["x.prom"]


def test_a_link_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".x.new").symlink_to(tmp_path / "victim")
    files.replace(str(tmp_path / "x"), "text", last=True)
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "x").read_text() == "text" and not (tmp_path / "x").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim", "x"]


def test_a_file_that_cannot_be_written_is_told_with_its_path(tmp_path):
    error = runtime_dir.publish(str(tmp_path / "nowhere" / "x.prom"), "text")
    assert error == f"{tmp_path}/nowhere/x.prom: No such file or directory"


@given(hostile_text, hostile_text)
def test_metrics(odd, other):
    labels = {"guard": odd, "mode": other, "scope": odd, "module": other, "canary": None}
    labels.update(states={odd: 1}, sources={other: odd})
    labels["counters"] = dict(documents.counters(Memory(), 0), writes={odd: 1})
    text = metrics.render(labels, Running(odd, other), None)
    check(text.split("\n"), 10 * MAX_PRINTED)
    assert all(line.startswith(("#", "ipvs_estoff_guard_")) for line in text.split("\n")[:-1])
