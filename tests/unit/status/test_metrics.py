"""Metrics in the text format of Prometheus."""

import re

from hypothesis import given

from ipvsd.enforce.memory import Memory
from ipvsd.kernel.ipvs_counters import Counters
from ipvsd.model import Namespace, State
from ipvsd.status import documents, metrics
from ipvsd.status.metrics import Running, Traffic
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
    shown = {
        re.sub('.*"(.*)".*', r"\1", name) for name in samples if name.startswith("namespaces{")
    }
    assert shown == {"off", "on", *(one.value for one in State if one is not State.GONE)}


def traffic(number, name="", estimators=1):
    namespace = Namespace(4, number, name or f"ns{number}")
    return Traffic(namespace, estimators, Counters(number, 2, 3, 4, 5))


def counted(others, host=None):
    text = metrics.render(STATUS, Running("6", "timer"), host, others)
    lines = [line for line in text.split("\n") if line.startswith("ipvs_estoff_guard_namespace")]
    return dict(line[len("ipvs_estoff_guard_namespace") :].rsplit(" ", 1) for line in lines)


def test_each_namespace_with_services_has_its_live_totals():
    samples = counted([traffic(7, "/run/docker/netns/ingress_sbox")], Counters(1, 2, 3, 4, 5))
    assert samples['_connections_total{namespace="/run/docker/netns/ingress_sbox"}'] == "7"
    assert samples['_connections_total{namespace="host"}'] == "1"
    assert samples['_packets_total{namespace="host",direction="out"}'] == "3"
    assert samples['_bytes_total{namespace="host",direction="in"}'] == "4"
    assert samples["s_without_counters"] == "0"


def test_only_the_largest_namespaces_have_series_and_the_rest_is_counted():
    others = [traffic(number, estimators=number) for number in range(1, 61)]
    samples = counted(others)
    shown = {name for name in samples if name.startswith("_connections_total{")}
    assert shown == {f'_connections_total{{namespace="ns{number}"}}' for number in range(11, 61)}
    assert samples["s_without_counters"] == "10"


def test_namespaces_with_the_same_name_have_different_labels():
    long = "\x1b" * 255  # escaped and cut, both look alike
    samples = counted([traffic(7, "a"), traffic(8, "a"), traffic(9, long), traffic(10, long + "b")])
    shown = [name for name in samples if name.startswith("_connections_total{")]
    assert len(shown) == 4
    assert '_connections_total{namespace="net:[8] a"}' in shown


def test_what_is_on_deliberately_has_the_time_of_its_file():
    chosen = [
        {"selector": None, "file": "/a", "line": 1, "changed_usec": 1700000000 * 10**6},
        {"selector": "name:web", "file": "/a", "line": 2, "changed_usec": 5 * 10**6},
        {"selector": "name:web", "file": "/a", "line": 9, "changed_usec": 5 * 10**6},
        {"selector": "name:x", "file": "/gone", "line": 2, "changed_usec": None},
    ]
    name = "chosen_on_timestamp_seconds"
    samples = {one: value for one, value in rendered(chosen_on=chosen).items() if name in one}
    assert samples == {
        name + '{selector="",file="/a"}': 1700000000,
        name + '{selector="name:web",file="/a"}': 5,
    }
    assert not [one for one in rendered() if name in one]


def test_what_was_given_up_is_counted():
    samples = rendered(given_up={"scans": 2, "namespaces": 3})
    assert samples["scans_given_up_total"] == 2 and samples["namespaces_put_aside"] == 3


def test_without_canary_there_is_no_canary_sample():
    assert not [name for name in rendered(canary=None) if name.startswith("canary")]
    failed = rendered(canary={"fixed_usec": None, "error": "not set in time", "time": "x"})
    assert failed["canary_success"] == 0 and "canary_seconds" not in failed


def test_the_cost_of_the_daemon_has_samples_as_far_as_it_is_known():
    cost = {
        "resident_bytes": 12582912,
        "pss_bytes": 20971520,
        "processes": 4,
        "cpu_share": 0.0004,
        "cpu_share_last_minute": None,
        "descriptors": 17,
        "threads": 2,
    }
    samples = rendered(cost=cost)
    assert samples["resident_memory_bytes"] == 12582912 and samples["cpu_ratio"] == 0.0004
    assert samples["pss_bytes"] == 20971520 and samples["processes"] == 4
    assert "pss_bytes" not in rendered(cost=dict(cost, pss_bytes=None))
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
    labels.update(given_up=STATUS["given_up"])
    labels["chosen_on"] = [{"selector": odd, "file": other, "line": 1, "changed_usec": 1}]
    labels["counters"] = dict(documents.counters(Memory(), 0), writes={odd: 1})
    text = metrics.render(
        labels, Running(odd, other), None, [traffic(7, odd or "x"), traffic(8, other)]
    )
    check(text.split("\n"), 10 * MAX_PRINTED)
    assert all(line.startswith(("#", "ipvs_estoff_guard_")) for line in text.split("\n")[:-1])
