"""Metrics in the text format of Prometheus."""

import re

from hypothesis import given

from ipvsd.enforce.memory import Memory
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import (
    State,
)
from ipvsd.status import documents, metrics
from ipvsd.status.metrics import Running
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


def test_the_status_of_the_daemon_becomes_samples():
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


def test_each_state_has_a_sample_even_at_nought():
    samples = rendered(states={})
    shown = {re.sub('.*"(.*)".*', r"\1", name) for name in samples if name.startswith("namesp")}
    assert shown == {"off", "on", *(one.value for one in State if one is not State.GONE)}


def test_without_canary_there_is_no_canary_sample():
    assert not [name for name in rendered(canary=None) if name.startswith("canary")]
    failed = rendered(canary={"fixed_usec": None, "error": "not set in time", "time": "x"})
    assert failed["canary_success"] == 0 and "canary_seconds" not in failed


def test_the_cost_of_the_daemon_has_samples_as_far_as_it_is_known():
    cost = {
        "resident_bytes": 12582912,
        "cpu_share": 0.0004,
        "cpu_share_last_minute": None,
        "descriptors": 17,
        "threads": 2,
    }
    samples = rendered(cost=cost)
    assert samples["resident_memory_bytes"] == 12582912 and samples["cpu_ratio"] == 0.0004
    assert samples["open_descriptors"] == 17 and samples["threads"] == 2
    assert "cpu_ratio_last_minute" not in samples, "unknown is not nought"
    assert rendered(cost=dict(cost, cpu_share_last_minute=0.0))["cpu_ratio_last_minute"] == 0
    unknown = rendered(cost=None)
    assert "resident_memory_bytes" not in unknown and "threads" not in unknown


def test_labels_cannot_break_a_line():
    text = metrics.render(dict(STATUS, guard='1"\n\\x'), Running("6", "none"), None)
    assert 'version="1\\"\\\\n\\\\x"' in text
    assert "host_" not in text


@given(hostile_text, hostile_text)
def test_metrics(odd, other):
    labels = {"guard": odd, "mode": other, "scope": odd, "module": other, "canary": None}
    labels.update(states={odd: 1}, sources={other: odd})
    labels["counters"] = dict(documents.counters(Memory(), 0), writes={odd: 1})
    text = metrics.render(labels, Running(odd, other), None)
    check(text.split("\n"), 10 * MAX_PRINTED)
    assert all(line.startswith(("#", "ipvs_estoff_guard_")) for line in text.split("\n")[:-1])
