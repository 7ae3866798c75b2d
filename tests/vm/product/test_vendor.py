"""A vendor's kernel: 5.10 with the switch, no BTF of ip_vs, and loads that take long."""

import json

import pytest

from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import THOROUGH, VENDOR
from tests.vm.product.setups import FIRST_ESTIMATION_USEC, TRACING
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

# How often an estimation run did work since the load, in all namespaces: the module counts them.
WORKED = "/sys/module/ip_vs/parameters/worked"
EARLY = "early_add=1"  # as kernels before 5.11


@VENDOR
def test_one_birth_wakes_the_guard_and_nobody_elses_trace_is_changed(host: Guarded, spaces: Spaces):
    host.load()
    host.wait_for_value("0")
    shown = f"stat -c %a {TRACING}/buffer_percent; cat {TRACING}/buffer_percent"
    assert host.succeed(shown).split() == ["444", "50"]
    assert host.status()["daemon"]["sources"]["births"] == "on"
    cursor = host.cursor()
    inode = spaces.process()  # no mount, no device: only the probe reports it
    (entry,) = host.wait_for_events(cursor, "changed")
    assert entry["IPVSD_NETNS_INODE"] == str(inode) and entry["IPVSD_REASON"] == "birth"
    assert int(entry["IPVSD_REACTION_USEC"]) < FIRST_ESTIMATION_USEC


# The namespaces that exist before ip_vs is loaded, beside the host's.
SPACES = 12
SLOW = [
    pytest.param("before_each_ms=250", id="each", marks=THOROUGH),
    pytest.param(f"{EARLY} before_each_ms=250", id="each, early"),
    pytest.param("after_first_ms=3000", id="after the first", marks=THOROUGH),
    pytest.param("after_all_ms=3000", id="after all", marks=THOROUGH),
    pytest.param(f"{EARLY} after_all_ms=3000", id="after all, early", marks=THOROUGH),
    pytest.param(f"{EARLY} delay_ms=3000", id="before the first, early", marks=THOROUGH),
]


@VENDOR
@pytest.mark.parametrize("parameters", SLOW)
def test_while_a_load_takes_long_each_namespace_is_set_in_its_turn(
    host: Guarded, spaces: Spaces, parameters: str
):
    inodes = [spaces.process() for _ in range(SPACES)]
    host.succeed(f"modprobe ip_vs {parameters}")
    worked = host.succeed(f"cat {WORKED}").strip()
    spaces.wait_for("0")
    assert worked == "0" == host.succeed(f"cat {WORKED}").strip()
    for inode in inodes:
        exposure = host.exposure(inode)
        assert exposure["passes"] == 0 and exposure["exposed_usec"] < FIRST_ESTIMATION_USEC, (
            exposure
        )
    status = host.status()
    (own,) = (one for one in status["namespaces"] if one["name"] == "host")
    assert own["exposure"]["exposed_usec"] < FIRST_ESTIMATION_USEC, own


@VENDOR
def test_a_load_that_fails_after_all_sysctls_were_there(host: Guarded, spaces: Spaces):
    for _ in range(3):
        spaces.process()
    cursor = host.cursor()
    host.fail(f"modprobe ip_vs {EARLY} fail=1 after_all_ms=500")
    host.wait_for_events(cursor, "load-failed")
    host.load()
    spaces.wait_for("0")
    assert host.succeed(f"cat {WORKED}").strip() == "0"


def measured(host: Guarded) -> tuple[dict, str]:
    """Return the only phase of a short measurement as data, and what it concludes."""
    document = json.loads(host.succeed("ipvsd measure --json --duration 5s"))
    (phase,) = document["phases"]
    return phase["passes"], " ".join(document["verdict"])


@VENDOR
def test_without_types_of_ip_vs_ticks_count_as_empty_only_where_that_is_known(
    host: Guarded, spaces: Spaces
):
    spaces.process()
    host.load()
    spaces.wait_for("0")
    passes, verdict = measured(host)
    assert passes["count"] == 0 and passes["without_work"] > 0, passes
    assert verdict == "no estimation run did any work."
    verified = json.loads(host.succeed("ipvsd verify --json"))
    assert verified["passes"] == 0
    assert host.succeed(f"cat {WORKED}").strip() == "0"

    host.succeed(f"systemctl stop {SERVICE}")
    spaces.in_flight()
    passes, verdict = measured(host)
    assert passes["count"] > 0 and not passes["work_known"], "nothing leads to one namespace"
    assert "whether it did any work cannot be told" in verdict
    assert json.loads(host.execute("ipvsd verify --json").stdout)["passes"] is None
    spaces.clear()

    host.set("1")
    passes, verdict = measured(host)
    assert passes["count"] > 0 and not passes["work_known"]
    assert "whether it did any work cannot be told" in verdict


@THOROUGH
@VENDOR
def test_one_run_over_5000_services_is_measured_as_the_stall_that_it_is(host: Guarded):
    host.load()
    host.wait_for_value("0")
    host.succeed(f"systemctl stop {SERVICE}")
    host.serve_many(5000, 0)
    passes, _ = measured(host)
    off_usec = passes["max_usec"] or 0
    host.set("1")
    passes, _ = measured(host)
    assert passes["max_usec"] > max(1000, 5 * off_usec), passes
    assert int(host.succeed(f"cat {WORKED}")) > 0
    host.stop_serving()
