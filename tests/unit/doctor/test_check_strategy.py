"""What the doctor recommends, and the figure that speaks for it."""

import pytest

from ipvsd.doctor import check_strategy
from ipvsd.doctor.check_strategy import SMALL_NS, Facts
from ipvsd.enforce.prediction import predicted_ns
from ipvsd.kernel.dialects import DIALECTS
from tests.unit.doctor.findings import HINT, OK

THREADS, OPENEULER, TIMER, TENCENTOS = DIALECTS


@pytest.mark.parametrize(
    "why, facts, severity, word, figure",
    [
        ("a timer", Facts(50_000, 104, TIMER, False, False), OK, "off", "stall a CPU for 182.0 ms"),
        ("few", Facts(20, 8, TIMER, True, False), OK, "not needed", "for 5"),
        ("readers", Facts(50_000, 104, TIMER, True, False), OK, "sample", "reads the statistics"),
        ("threads", Facts(50_000, 104, THREADS, True, False), HINT, "steer", "% of a CPU"),
        ("threads, steered", Facts(50_000, 104, THREADS, True, True), OK, "steer", "% of a CPU"),
        ("threads, unread", Facts(50_000, 104, THREADS, False, False), OK, "off", "nothing was"),
        ("a target", Facts(50_000, 104, OPENEULER, True, False), HINT, "steer", "stall a CPU"),
        ("off", Facts(50_000, 104, TENCENTOS, True, False), OK, "not needed", "off by default"),
        ("steered in vain", Facts(20, 8, THREADS, False, True), HINT, "not needed", "21 estim"),
    ],
)
def test_recommendation(why, facts, severity, word, figure):
    (found,) = check_strategy.check(facts)
    assert found.severity is severity, why
    assert found.summary.startswith(f"recommended is `{word}`: ") and figure in found.summary, why


@pytest.mark.parametrize(
    "facts",
    [
        Facts(None, 104, TIMER, True, False),
        Facts(5, None, TIMER, True, False),
        Facts(5, 104, None, True, False),
    ],
)
def test_without_a_figure_nothing_is_recommended(facts):
    assert check_strategy.check(facts) == []


def test_the_limit_is_what_the_kernel_grants_the_network():
    services = 0
    while predicted_ns(services + 1, 8)[1] < SMALL_NS:
        (found,) = check_strategy.check(Facts(services, 8, TIMER, False, False))
        assert "`not needed`" in found.summary
        services += 500
    (found,) = check_strategy.check(Facts(services, 8, TIMER, False, False))
    assert "`off`" in found.summary and services == 5000


def test_the_doctor_recommends_and_refuses(host):
    host.root.write("sys/devices/system/cpu/possible", "0-7\n")
    host.root.load_ip_vs(run_estimation="0")
    lines = "".join(f"TCP  C0000201:{n:04X} rr\n" for n in range(6000))
    host.root.write("proc/thread-self/net/ip_vs", "1\n2\n3\n" + lines)
    _, _, findings = host.found("ok", "hint")
    (found,) = [one for one in findings if one["topic"] == check_strategy.TOPIC]
    assert found["summary"].startswith("recommended is `off`: 6,001 estimators on 8 CPUs: ")
    host.root.configure("[guard]\nstrategy = steer\n[steer]\ncpus = 1\n")
    _, _, findings = host.found("problem")
    assert [one["summary"] for one in findings if one["topic"] == check_strategy.TOPIC] == [
        "the loaded ip_vs has none of est_cpulist, est_nice and run_estimation_target, so "
        "estimation cannot be moved; set strategy = off under [guard]"
    ]
