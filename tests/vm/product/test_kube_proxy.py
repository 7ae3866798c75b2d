"""Beside a real kube-proxy in IPVS mode, with real Services, as nodes of Kubernetes have them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import images, kubernetes
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import Guarded
from tests.vm.kubernetes import Cluster
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.product.setups import FIRST_ESTIMATION_USEC

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("kube")]

# An emulated API server takes a third of a second for each.
SERVICES = 40


@pytest.fixture(scope="module")
def node(repo: Path) -> Iterator[tuple[Guarded, Cluster]]:
    """Start a node that is guarded, with the API server, before kube-proxy begins."""
    programs = kubernetes.build()
    with Machine(images.build("bookworm", *kubernetes.PACKAGES), memory_mb=3072) as machine:
        host, cluster = Guarded(machine), Cluster(machine)
        host.install(repo)
        cluster.start(programs)
        yield host, cluster


def test_kube_proxy_loads_ip_vs_and_the_guard_has_switched_off_before_the_first_run(node):
    host, cluster = node
    cursor = host.cursor()
    cluster.start_proxy()
    cluster.add_services(1, SERVICES)
    cluster.wait_for_services(SERVICES)
    assert host.value() == "0"
    (entry,) = host.wait_for_events(cursor, "changed")
    assert entry["IPVSD_REASON"] == "load"
    assert 0 < int(entry["IPVSD_REACTION_USEC"]) < FIRST_ESTIMATION_USEC
    assert (
        host.succeed(
            "python3 -c 'import urllib.request as r; print(r.urlopen("
            '"http://10.96.0.120").read().decode())\''
        ).strip()
        == "served"
    )


def test_neither_works_against_the_other(node):
    """kube-proxy sets other keys of IPVS, each time it starts and now and then."""
    host, cluster = node
    cursor = host.cursor()
    cluster.add_services(SERVICES + 1, SERVICES)
    cluster.wait_for_services(2 * SERVICES)
    assert host.value("conntrack") == "1"
    host.succeed("ipvsd verify", timeout=4 * PATIENCE_S)
    assert host.events(cursor, "changed", "contested", "not-changed") == []


def test_a_load_by_a_new_kube_proxy_is_guarded_too(node):
    host, cluster = node
    cluster.stop_proxy()
    host.stop_serving()
    host.unload()
    cursor = host.cursor()
    cluster.start_proxy()
    cluster.wait_for_services(2 * SERVICES)
    (entry,) = host.wait_for_events(cursor, "changed")
    assert entry["IPVSD_REASON"] == "load" and host.value() == "0"
    assert 0 < int(entry["IPVSD_REACTION_USEC"]) < FIRST_ESTIMATION_USEC
