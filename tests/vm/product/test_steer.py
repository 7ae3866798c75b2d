"""strategy = steer on real kernels: estimation stays on, on the CPUs that are configured."""

import json
from typing import Any

import pytest

from tests.vm.guarded import DROP_IN, SERVICE, Guarded
from tests.vm.product.kernels import BOOKWORM, KTHREADS, THOROUGH, VENDOR
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

STEER = "[guard]\nresync = 1s\nstrategy = steer\n[steer]\ncpus = 1\n"
UNSUPPORTED = 3


def verify(host: Guarded, code: int = 0) -> Any:
    done = host.execute("ipvsd verify --json")
    assert done.status == code, done
    return json.loads(done.stdout)


def check_runs(host: Guarded) -> None:
    """Add services, and check that estimation runs on CPU 1 and on no other one."""
    host.serve()
    document = verify(host)
    assert set(document["cpus"]) == {"1"} and document["cpus"]["1"] > 0, document
    assert document["conclusion"].startswith("estimation runs only on CPU 1: ")
    measured = json.loads(host.succeed("ipvsd measure --duration 5s --json"))
    (phase,) = measured["phases"]
    assert {one["cpu"] for one in phase["passes"]["cpus"]} == {1}
    host.stop_serving()


@KTHREADS
def test_threads_run_where_they_are_wanted(host: Guarded, spaces: Spaces):
    host.configure(STEER)
    host.load()
    host.wait_for_value("1", "est_cpulist")
    host.wait_for_value("10", "est_nice")
    assert host.value() == "1"
    born = spaces.named("lb")
    host.wait_for_state(born, "on")
    assert host.succeed("ip netns exec lb sysctl -n net.ipv4.vs.est_cpulist").strip() == "1"
    assert "no services?" in verify(host)["conclusion"]
    check_runs(host)


@THOROUGH
@KTHREADS
def test_a_service_with_an_affinity_of_its_own_writes_the_whole_list(host: Guarded):
    host.succeed(f"cat > {DROP_IN}", input=STEER.encode())
    host.override_unit("[Service]\nCPUAffinity=0\n")
    pid = host.show("MainPID")
    host.load()
    host.wait_for_value("1", "est_cpulist")
    assert "list: 0" in host.succeed(f"taskset --cpu-list --pid {pid}").strip()
    check_runs(host)


@KTHREADS
def test_a_list_that_the_kernel_cuts_is_refused(host: Guarded):
    host.succeed(f"cat > {DROP_IN}", input=STEER.encode())
    host.override_unit("[Service]\nAllowedCPUs=0\n")
    cursor = host.cursor()
    host.load()
    entry = host.wait_for_events(cursor, "not-changed")[0]
    assert "an empty list, so that no estimation runs" in entry["MESSAGE"]
    assert "AllowedCPUs=" in entry["MESSAGE"]
    (own,) = (one for one in host.status()["namespaces"] if one["name"] == "host")
    host.wait_for_state(own["inode"], "refused")
    shown = host.execute("ipvsd status")
    assert shown.status == 1 and "an empty list" in shown.stdout


@BOOKWORM
def test_a_timer_without_a_target_is_refused(host: Guarded):
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    host.succeed(f"cat > {DROP_IN}", input=STEER.encode())
    for command in ("ipvsd config --check", "ipvsd config --quiet"):
        done = host.execute(command)
        assert done.status == UNSUPPORTED and "cannot be moved" in done.stderr
    host.fail(f"systemctl reload {SERVICE}")
    host.succeed(f"systemctl kill --signal=HUP --kill-whom=main {SERVICE}")
    (entry,) = host.wait_for_events(cursor, "reload-refused")
    assert "cannot be moved" in entry["MESSAGE"] and host.value() == "0"
    host.fail(f"systemctl restart {SERVICE}")
    assert host.show("ExecMainStatus") == str(UNSUPPORTED)
    assert host.value() == "0"


@THOROUGH
@BOOKWORM
def test_a_timer_that_is_loaded_later_is_reported(host: Guarded):
    host.configure(STEER)
    cursor = host.cursor()
    host.load()
    (entry,) = host.wait_for_events(cursor, "unsupported")
    assert "cannot steer this ip_vs" in entry["MESSAGE"]
    assert host.execute("ipvsd status").status == UNSUPPORTED


@THOROUGH
@VENDOR
def test_a_timer_with_a_target_runs_there(host: Guarded):
    host.configure(STEER)
    host.succeed("modprobe ip_vs dialect=openeuler")
    host.wait_for_value("1", "run_estimation_target")
    assert host.value() == "1"
    check_runs(host)
