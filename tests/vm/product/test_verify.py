"""`ipvsd verify` on a real machine: it proves that estimation is off, or names what is on."""

import json
from typing import Any

import pytest

from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import ANY_KERNEL, BOOKWORM, EACH_KERNEL, THOROUGH, THREADED, UNTYPED
from tests.vm.product.setups import WITHOUT_TRACEFS
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm


def verify(host: Guarded, code: int) -> tuple[Any, str]:
    """Return what verify prints, as JSON and as text."""
    as_json, as_text = host.execute("ipvsd verify --json"), host.execute("ipvsd verify")
    assert (as_json.status, as_text.status) == (code, code), as_text
    return json.loads(as_json.stdout), as_text.stdout


@ANY_KERNEL
def test_one_of_fifty_that_is_on_is_named(host: Guarded, spaces: Spaces):
    host.load()
    inodes = spaces.burst(49)
    spaces.wait_for("0")
    document, text = verify(host, 0)
    assert document["problems"] == [] and len(document["namespaces"]) == 50
    assert "method 1, the values: 50 of 50 namespaces are off" in text
    host.succeed(f"systemctl stop {SERVICE}")
    spaces.set(inodes[17], "1")
    document, text = verify(host, 1)
    (problem,) = document["problems"]
    assert f"net:[{inodes[17]}]" in problem and "run_estimation is 1" in problem
    assert "spaces-burst-" in problem  # its owner
    assert "49 of 50" in text and "estimation is NOT off" in text
    # Threads do not run without a service.
    if host.machine.image.suite not in (*THREADED, *UNTYPED):
        assert "2 estimation runs" in problem or "3 estimation runs" in problem


@ANY_KERNEL
def test_traffic_is_a_proof_and_its_absence_is_reported(host: Guarded, spaces: Spaces):
    host.load()
    host.wait_for_value("0")
    host.serve()
    host.wait_for_value("0")
    document, text = verify(host, 0)
    assert document["namespaces"][0]["totals"] == "no_traffic"
    assert "1 prove nothing without traffic" in text
    flow = spaces.background(host.traffic_loop)
    document, text = verify(host, 0)
    assert document["namespaces"][0]["totals"] == "still" and document["passes"] == 0
    assert "1 stand still while the CPUs count" in text
    host.succeed(f"systemctl stop {SERVICE}")
    host.set("1")
    document, text = verify(host, 1)
    assert document["namespaces"][0]["totals"] == "moved"
    if host.machine.image.suite in UNTYPED:
        assert document["passes"] is None
    else:
        assert document["passes"] > 0
    host.succeed(f"systemctl stop {flow}")
    host.stop_serving()


@EACH_KERNEL
def test_a_run_although_every_value_is_0_is_reported(host: Guarded, spaces: Spaces):
    host.load()
    host.wait_for_value("0")
    host.succeed(f"systemctl stop {SERVICE}")
    inode = spaces.in_flight()
    document, text = verify(host, 1)
    assert {one["state"] for one in document["namespaces"]} == {"off"}
    if host.machine.image.suite in THREADED:
        assert "happened although estimation is off everywhere" in text
        assert document["kthreads"] > 0 and "ipvs-e:* run" in text
    elif host.machine.image.suite in UNTYPED:
        assert "1 timer more than there are namespaces" in text and document["passes"] is None
    else:
        assert f"net:[{inode}]: " in text and "nothing leads to this namespace" in text
    spaces.clear()
    host.stop_serving()


@THOROUGH
@BOOKWORM
def test_a_namespace_that_cannot_be_switched_off_is_a_note(host: Guarded, spaces: Spaces):
    host.configure("[sysctl name:billing]\nnet.ipv4.vs.run_estimation = 1\n")
    host.load()
    foreign, billing = spaces.user_owned(), spaces.named("billing")
    host.wait_for_state(foreign, "hidden")
    document, _ = verify(host, 0)
    assert len(document["notes"]) == 2
    (note,) = (one for one in document["notes"] if "billing" in one)
    assert "run_estimation is 1, on, name:billing (/etc/" in note
    (note,) = (one for one in document["notes"] if str(foreign) in one)
    assert "nobody can switch it off" in note
    assert host.shown(billing)["state"] == "on"


@BOOKWORM
def test_without_tracefs_the_other_proofs_are_left(host: Guarded):
    host.override_unit(WITHOUT_TRACEFS)
    host.load()
    host.wait_for_value("0")
    hidden = "mount -t tmpfs none /sys/kernel/tracing && mount -t tmpfs none /sys/kernel/debug"
    shown = host.succeed(f"unshare --mount bash -c '{hidden} && ipvsd verify'")
    assert "the estimation runs: not counted (/sys/kernel/tracing" in shown


@THOROUGH
@BOOKWORM
def test_two_may_run_at_once_and_leave_nothing_in_tracefs(host: Guarded):
    host.load()
    host.wait_for_value("0")
    host.succeed("ipvsd verify & ipvsd verify; wait")
    left = host.succeed("ls /sys/kernel/tracing/instances; cat /sys/kernel/tracing/kprobe_events")
    assert "measure" not in left


@BOOKWORM
@pytest.mark.parametrize(
    "name", ["TERM", *(pytest.param(name, marks=THOROUGH) for name in ("HUP", "INT"))]
)
def test_a_signal_ends_it_and_its_probes(host: Guarded, spaces: Spaces, name: str):
    host.load()
    host.wait_for_value("0")
    unit = spaces.background("exec ipvsd verify")
    enabled = "/sys/kernel/tracing/instances/ipvsd-measure-*/events/ipvsd_measure/begin_*/enable"
    host.machine.wait_until_succeeds(f"grep -q 1 {enabled}")
    host.succeed(f"systemctl kill --signal={name} {unit}")
    host.machine.wait_until_succeeds(f"! systemctl is-active {unit}")
    left = host.succeed("ls /sys/kernel/tracing/instances; cat /sys/kernel/tracing/kprobe_events")
    assert "measure" not in left
