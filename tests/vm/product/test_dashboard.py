"""The dashboard and the rules with a real Prometheus, which reads a guarded host."""

import time
from collections.abc import Callable, Iterator

import pytest

from lab.dashboard import CONTEST, Prometheus, guarded_host, live, queries
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import THOROUGH
from tests.vm.spaces import Spaces

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("prometheus")]

CONTESTED = "IpvsEstimationContested"


@pytest.fixture(scope="module")
def fleet() -> Iterator[tuple[Guarded, Prometheus, Spaces]]:
    """Start a fleet of one host, with its Prometheus."""
    with guarded_host() as (host, prometheus):
        yield host, prometheus, Spaces(host.machine)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)


def test_each_query_of_the_dashboard_returns_data(fleet):
    host, prometheus, spaces = fleet
    live(host, spaces)
    left = list(queries())
    deadline = time.monotonic() + 2 * PATIENCE_S
    while left:
        spaces.named("born")  # there are reactions only while namespaces are born
        spaces.delete_named("born")
        left = [query for query in left if not prometheus.values(query.expr)]
        assert time.monotonic() < deadline, left
    reports = 'instance_mode:ipvs_estoff_guard_reports:group{mode="enforce"}'
    assert prometheus.values(f"count({reports})") == [1]


def test_an_alert_fires_and_clears(fleet):
    host, prometheus, spaces = fleet
    assert CONTESTED not in prometheus.firing()
    contest = spaces.background(CONTEST)
    wait(lambda: CONTESTED in prometheus.firing())
    host.succeed(f"systemctl stop {contest}")
    wait(lambda: CONTESTED not in prometheus.firing())


def test_a_host_whose_guard_ended_is_silent_and_no_longer_guarded(fleet):
    host, prometheus, _ = fleet
    host.succeed(f"systemctl stop {SERVICE}")
    wait(lambda: prometheus.values("count(instance:ipvs_estoff_guard_silent:group)") == [1])
    assert not prometheus.values("instance_mode:ipvs_estoff_guard_reports:group")
