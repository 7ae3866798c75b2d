"""Kernels whose vendor has given the switch of estimation another name, or a companion."""

import json

import pytest

from tests.vm.guarded import KEY, SERVICE, Guarded
from tests.vm.product.kernels import THOROUGH, VENDOR
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

WORK = "net.ipv4.vs.estimation_timer_work"
OFF = "off by another key"


def load(host: Guarded, dialect: str) -> None:
    host.succeed(f"modprobe ip_vs dialect={dialect}")


def doctor(host: Guarded) -> str:
    """Return what the doctor says, without its line breaks."""
    return " ".join(host.succeed("ipvsd doctor", timeout=60).split())


@THOROUGH
@VENDOR
def test_a_switch_that_is_off_by_default_is_right_from_the_start(host: Guarded, spaces: Spaces):
    cursor = host.cursor()
    load(host, "tencentos")
    (entry,) = host.wait_for_events(cursor, "off-otherwise")
    assert entry["IPVSD_KEY"] == KEY and WORK in entry["MESSAGE"]
    born = spaces.named("lb")
    host.wait_for_state(born, OFF)
    document = host.status()
    assert {one["state"] for one in document["namespaces"]} == {OFF}
    counters = document["daemon"]["counters"]
    assert counters["writes"] == {} and counters["exposed_usec"] == counters["passes_leaked"] == 0
    for command in ("status", "apply"):
        host.succeed(f"ipvsd {command}")
    assert f"estimation is off in every namespace (by {WORK})" in host.succeed("ipvsd verify")
    assert "has estimation_timer_work, as TencentOS" in doctor(host)
    kinds = [one["IPVSD_EVENT"] for one in host.events(cursor)]
    assert "unsupported" not in kinds and kinds.count("off-otherwise") == 1


@VENDOR
def test_somebody_who_switches_it_on_is_set_back(host: Guarded, spaces: Spaces):
    host.configure("[guard]\nresync = 1s\n")
    load(host, "tencentos")
    born = spaces.named("lb")
    host.wait_for_state(born, OFF)
    cursor = host.cursor()
    host.set("1", "estimation_timer_work")
    (entry,) = host.wait_for_events(cursor, "changed")
    assert (entry["IPVSD_KEY"], entry["IPVSD_OLD"], entry["IPVSD_NEW"]) == (WORK, "1", "0")
    host.wait_for_value("0", "estimation_timer_work")
    host.succeed(f"ip netns exec lb sysctl -q -w {WORK}=1")
    host.machine.wait_until_succeeds(f"ip netns exec lb sysctl -n {WORK} | grep -qx 0")


@THOROUGH
@VENDOR
def test_verify_and_measure_see_it_run(host: Guarded):
    load(host, "tencentos")
    host.succeed(f"systemctl stop {SERVICE}")
    host.set("1", "estimation_timer_work")
    shown = host.execute("ipvsd verify")
    assert shown.status == 1 and f"by {WORK}" in shown.stdout
    host.set("0", "estimation_timer_work")
    measured = json.loads(host.succeed("ipvsd measure --compare --yes --duration 5s --json"))
    assert [phase["name"] for phase in measured["phases"]] == ["on", "off", "off again"]
    assert host.value("estimation_timer_work") == "0"


@VENDOR
def test_the_companion_of_the_switch_is_guarded_too(host: Guarded):
    host.configure("[sysctl]\nnet.ipv4.vs.run_estimation_target = 1\n")
    load(host, "openeuler")
    host.wait_for_value("0")
    host.wait_for_value("1", "run_estimation_target")
    shown = host.execute("ipvsd status").stdout
    assert "net.ipv4.vs.run_estimation_target" in shown
    assert "has run_estimation and run_estimation_target" in doctor(host)


@THOROUGH
@VENDOR
def test_where_nothing_is_wanted_of_the_companion_it_stays(host: Guarded):
    load(host, "openeuler")
    host.wait_for_value("0")
    assert host.value("run_estimation_target") == "-1"
