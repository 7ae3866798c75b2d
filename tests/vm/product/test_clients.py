"""Real users of IPVS and of namespaces: Docker Swarm, keepalived, LXC, node_exporter."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm import images
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.setups import FIRST_ESTIMATION_USEC

pytestmark = [pytest.mark.vm, pytest.mark.thorough, pytest.mark.xdist_group("clients")]

ADDRESS = "192.0.2.1"
LONG_S = 600  # emulated
REPLICAS = 15

# A program and what it needs, as the file system of containers: there is no registry here.
ROOTFS = "/opt/rootfs"
MAKE_ROOTFS = (
    f"mkdir -p {ROOTFS}/{{bin,dev,etc,proc,run,sys,tmp,www}} && cp /bin/busybox {ROOTFS}/bin/ && "
    f"for name in sh sleep httpd; do ln -sf busybox {ROOTFS}/bin/$name; done; "
    f"echo served >{ROOTFS}/www/index.html"
)
KEEPALIVED = f"""
virtual_server {ADDRESS} 80 {{
    delay_loop 5
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 192.0.2.2 80 {{
    }}
}}
"""
LXC = f"""
lxc.uts.name = web
lxc.rootfs.path = dir:{ROOTFS}
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.init.cmd = /bin/sleep infinity
"""


@pytest.fixture(scope="module")
def host(repo: Path) -> Iterator[Guarded]:
    """Start a machine with these programs and with the package."""
    image = images.build("bookworm", *images.CLIENT_PACKAGES)
    with Machine(image, memory_mb=3072) as machine:
        host = Guarded(machine)
        host.install(repo)
        host.succeed(
            f"ip link add lb type dummy; ip link set lb up; ip addr add {ADDRESS}/24 dev lb"
        )
        host.succeed(MAKE_ROOTFS)
        yield host


def namespaces(host: Guarded) -> dict[str, Any]:
    """Return the namespaces that `ipvsd status` shows, by name."""
    return {one["name"]: one for one in host.status()["namespaces"]}


def assert_all_off(host: Guarded) -> None:
    """Assert that estimation is off everywhere, and by the estimator itself."""
    result = host.execute("ipvsd verify --json", timeout=LONG_S)
    document = json.loads(result.stdout)
    assert result.status == 0, document
    assert document["passes"] == 0
    counters = host.status()["daemon"]["counters"]
    assert counters["passes_leaked"] == 0, counters


def test_docker_swarm(host: Guarded):
    host.succeed("systemctl start docker", timeout=LONG_S)
    host.succeed(f"tar -C {ROOTFS} -c . | docker import - box", timeout=LONG_S)
    host.succeed(f"docker swarm init --advertise-addr {ADDRESS}", timeout=LONG_S)
    host.succeed("docker network create --driver overlay front", timeout=LONG_S)
    host.succeed(
        "docker service create --detach --name web --network front --publish 8080:80 "
        f"--replicas {REPLICAS} box /bin/httpd -f -p 80 -h /www",
        timeout=LONG_S,
    )
    running = f"docker service ls --format '{{{{.Replicas}}}}' | grep -qx {REPLICAS}/{REPLICAS}"
    host.machine.wait_until_succeeds(running, timeout=2 * LONG_S)
    for _ in range(5):
        assert host.succeed(f"curl --silent --fail http://{ADDRESS}:8080/") == "served\n"
    found = namespaces(host)
    sandbox = next(one for name, one in found.items() if name.endswith("ingress_sbox"))
    assert sandbox["estimators"] > REPLICAS, "the published port"
    assert len(found) >= REPLICAS + 3  # the host's, the ingress network's, the service's
    assert {one["state"] for one in found.values()} == {"off"}
    assert_all_off(host)
    host.succeed("docker service scale --detach web=3", timeout=LONG_S)
    few = "docker service ls --format '{{.Replicas}}' | grep -qx 3/3"
    host.machine.wait_until_succeeds(few, timeout=LONG_S)
    assert_all_off(host)


def test_keepalived(host: Guarded):
    host.succeed("cat >/etc/keepalived/keepalived.conf", input=KEEPALIVED.encode())
    host.succeed("systemctl restart keepalived", timeout=LONG_S)
    host.machine.wait_until_succeeds(f"ipvsadm --list --numeric | grep -q '{ADDRESS}:80'")
    host.wait_for_value("0")
    # What a restart of keepalived with the module gone leaves to do. Swarm's rules use xt_ipvs.
    host.succeed(
        "systemctl stop keepalived; docker swarm leave --force; "
        "systemctl stop docker docker.socket; true",
        timeout=300,
    )
    host.stop_serving()
    host.unload()
    cursor = host.cursor()
    host.succeed("systemctl start keepalived", timeout=LONG_S)
    host.machine.wait_until_succeeds(f"ipvsadm --list --numeric | grep -q '{ADDRESS}:80'")
    host.wait_for_value("0")
    reactions = [entry["IPVSD_REACTION_USEC"] for entry in host.wait_for_events(cursor, "changed")]
    assert reactions and max(map(int, reactions)) < FIRST_ESTIMATION_USEC
    assert_all_off(host)
    host.succeed("systemctl stop keepalived")


def test_lxc(host: Guarded):
    host.load()
    host.succeed("mkdir -p /var/lib/lxc/web; cat >/var/lib/lxc/web/config", input=LXC.encode())
    host.succeed("lxc-start --name web", timeout=LONG_S)
    host.machine.wait_until_succeeds("lxc-info --name web --state | grep -q RUNNING")
    pid = host.succeed("lxc-info --name web --pid --no-humanize").strip()
    inode = int(re.sub(r"\D", "", host.succeed(f"readlink /proc/{pid}/ns/net")))
    host.wait_for_state(inode, "off")
    shown = host.shown(inode)
    assert "web" in shown["name"], shown
    assert shown["exposure"]["passes"] == 0
    host.succeed("lxc-stop --name web --kill", timeout=LONG_S)
    assert_all_off(host)


def test_node_exporter_reads_the_metrics_and_its_ipvs_totals_stand_still(host: Guarded):
    host.configure("[metrics]\ntextfile = /var/lib/prometheus/node-exporter/guard.prom\n")
    host.load()
    host.wait_for_value("0")
    host.serve()
    host.succeed("systemctl start prometheus-node-exporter")
    scrape = "curl --silent --fail http://127.0.0.1:9100/metrics"
    wanted = 'ipvs_estoff_guard_namespaces{state="off"}'
    host.succeed("ip link set lo up")
    host.machine.wait_until_succeeds(f"{scrape} | grep -qF '{wanted}'")
    host.wait_for_value("0")
    before = sample(host.succeed(scrape))
    host.traffic(20)
    host.succeed("systemctl reload ipvs-estoff-guard")
    host.machine.wait_until_succeeds(
        f"{scrape} | awk '$1 == \"ipvs_estoff_guard_host_connections_total\" && $2 >= 20' | grep ."
    )
    after = sample(host.succeed(scrape))
    # What the README promises of the exporter's own totals, and of the guard's.
    assert after["node_ipvs_connections_total"] == before["node_ipvs_connections_total"]
    assert after["ipvs_estoff_guard_host_connections_total"] >= 20
    reading = host.execute("ipvsd doctor").stdout
    assert "prometheus-node" in reading, reading
    host.stop_serving()


def sample(text: str) -> dict[str, float]:
    """Return the samples without labels of a page of metrics."""
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}
