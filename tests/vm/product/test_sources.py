"""Event sources on a real machine: births, mounts, devices, writes, and the canary."""

import pytest

from tests.vm.guarded import SERVICE, Guarded
from tests.vm.probe import Calls
from tests.vm.product.kernels import ANY_KERNEL, BOOKWORM, BOTH_KINDS, EACH_KERNEL, THOROUGH
from tests.vm.product.setups import (
    FIRST_ESTIMATION_USEC,
    RESYNC_1S,
    TRACING,
    WITHOUT_TRACEFS,
    traces,
)
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

INSTANCE = f"{TRACING}/instances/ipvs-estoff-guard"
BIRTH = f"{INSTANCE}/events/ipvsd/birth/enable"
NOTICED_S = 6  # 5, and a second for an emulated machine to log it


@EACH_KERNEL
def test_all_sources_are_in_use(host: Guarded):
    host.load()
    host.wait_for_value("0")
    sources = host.status()["daemon"]["sources"]
    # Devices are watched only where births are not reported.
    assert sources.pop("devices") == "off"
    assert sources == dict.fromkeys(("births", "mounts", "writes", "uevents"), "on")


@ANY_KERNEL
def test_a_missing_source_is_logged_once_and_replaced(host: Guarded, spaces: Spaces):
    cursor = host.cursor()
    host.override_unit(WITHOUT_TRACEFS)
    host.configure(RESYNC_1S)
    own = spaces.named("own")
    for _ in range(2):
        host.load()
        spaces.wait_for("0")
        host.check_again(spaces, own)
        host.unload()
    sources = host.status()["daemon"]["sources"]
    assert sources.pop("births") not in ("on", "off")
    assert sources == dict.fromkeys(("mounts", "devices", "writes", "uevents"), "on")
    (entry,) = host.wait_for_events(cursor, "source-lost")
    assert "births of namespaces: unavailable" in entry["MESSAGE"]
    assert host.show("ActiveState") == "active"


@THOROUGH
@BOOKWORM
def test_a_source_that_was_switched_off_is_switched_on_again(host: Guarded, spaces: Spaces):
    host.configure(RESYNC_1S)
    host.load()
    cursor = host.cursor()
    host.succeed(f"echo 0 >{BIRTH}")
    (lost,) = host.wait_for_events(cursor, "source-lost")
    assert "another program has disabled it" in lost["MESSAGE"]
    host.wait_for_events(cursor, "source-back")
    assert host.succeed(f"cat {BIRTH}").strip() == "1"
    spaces.process()
    spaces.wait_for("0")
    assert len(host.events(cursor, "source-lost", "source-back")) == 2


@BOOKWORM
def test_a_trace_that_was_switched_off_is_noticed_within_5_s(host: Guarded, spaces: Spaces):
    host.load()
    cursor = host.cursor()
    host.wait_for_value("0")
    switched_off = float(host.succeed(f"echo 0 >{INSTANCE}/tracing_on; date +%s.%N"))
    unseen = spaces.descriptor()  # only a search finds it
    spaces.wait_for("0", unseen)
    (lost,) = host.wait_for_events(cursor, "source-lost")
    assert int(lost["__REALTIME_TIMESTAMP"]) / 1e6 - switched_off < NOTICED_S
    host.wait_for_events(cursor, "source-back")
    assert host.succeed(f"cat {INSTANCE}/tracing_on").strip() == "1"


@ANY_KERNEL
def test_tracefs_alone_is_enough(host: Guarded):
    host.override_unit("[Service]\nInaccessiblePaths=/sys/kernel/debug\n")
    host.load()
    host.wait_for_value("0")
    assert host.status()["daemon"]["sources"]["births"] == "on"


@ANY_KERNEL
def test_the_probe_exists_only_while_the_guard_runs(host: Guarded):
    host.load()
    host.wait_for_value("0")
    assert traces(host) == (1, 1)
    host.succeed(f"systemctl stop {SERVICE}")
    assert traces(host) == (0, 0)
    host.succeed(f"systemctl start {SERVICE}")
    assert traces(host) == (1, 1)
    host.succeed(f"systemctl kill --signal=KILL {SERVICE}")
    host.machine.wait_until_succeeds(f"[ $(systemctl show -P NRestarts {SERVICE}) = 1 ]")
    host.machine.wait_until_succeeds(f"systemctl is-active {SERVICE}")
    assert traces(host) == (1, 1)
    host.unload()  # the probe does not prevent the removal


# Prints for each place, alone, its name and how many of two births it reports, -1 where it is
# unavailable; and how many births it reports for another kind of namespace.
_PLACES = """
import subprocess, sys
sys.path.insert(0, "/usr/share/ipvs-estoff-guard")
from ipvsd.kernel import netns_births

def drain(probe):
    found = probe.drain()
    return found.births + len(found.born)

for place in netns_births._PLACES:
    netns_births._PLACES = (place,)
    try:
        probe = netns_births.BirthProbe()
    except OSError:
        print(place[1], -1, -1)
        continue
    # The second within the first: of two with the same inode number only the later one counts.
    subprocess.run(["unshare", "--net", "unshare", "--net", "true"], check=True)
    births = drain(probe)
    subprocess.run(["unshare", "--uts", "true"], check=True)
    print(place[1], births, drain(probe))
    probe.close()
"""


@EACH_KERNEL
def test_each_place_of_the_probe_reports_births(host: Guarded):
    host.succeed(f"systemctl stop {SERVICE}")
    host.load()
    lines = host.succeed(f"python3 -c '{_PLACES}'").splitlines()
    found = {name: (int(births), int(others)) for name, births, others in map(str.split, lines)}
    # Which of the two is available depends on the kernel.
    sysctls = [found.pop(name) for name in ("register_net_sysctl_sz", "register_net_sysctl")]
    assert sorted(sysctls) == [(-1, -1), (2, 0)]
    assert found == {"ip_vs:ip_vs_control_net_init": (2, 0), "copy_net_ns": (2, 1)}


@BOTH_KINDS
def test_a_load_has_no_probe_of_the_guard_to_wait_for(host: Guarded):
    """A probe in ip_vs itself would delay each load, until an RCU grace period is over."""
    host.load()
    host.wait_for_value("0")
    (place,) = host.succeed(f"grep :ipvsd/ {TRACING}/kprobe_events").splitlines()
    assert place.split()[1].startswith("register_net_sysctl")


@BOTH_KINDS
def test_the_canary_proves_that_births_are_answered(host: Guarded):
    host.succeed(f"systemctl stop {SERVICE}")
    host.load()
    with Calls(host.machine, "setup_net") as born:
        cursor = host.cursor()
        host.succeed(f"systemctl start {SERVICE}")
        (entry,) = host.wait_for_events(cursor, "canary-set")
        assert "read 1 and was set by the guard" in entry["MESSAGE"]
        canary = host.status()["daemon"]["canary"]
        assert canary["time"] and canary["error"] is None
        assert 0 < canary["fixed_usec"] < FIRST_ESTIMATION_USEC
        assert born.count() == 1


@BOOKWORM
def test_without_a_canary_the_guard_makes_no_namespace(host: Guarded, spaces: Spaces):
    host.configure("[guard]\ncanary = off\nresync = 1s\n")
    with Calls(host.machine, "setup_net") as born:
        host.load()
        own = spaces.named("own")
        for _ in range(2):
            host.check_again(spaces, own)
        assert born.count() == 1  # the one of this test
    assert host.status()["daemon"]["canary"] is None


@BOOKWORM
def test_a_guard_that_cannot_set_new_namespaces_says_so_and_works_for_the_host(host: Guarded):
    host.load()
    host.wait_for_value("0")
    host.drop_in_unit("[Service]\nSystemCallFilter=~setns\nWatchdogSec=15s\n")
    cursor = host.cursor()
    host.succeed(f"systemctl restart {SERVICE}")  # READY=1 does not wait for the canary
    (entry,) = host.wait_for_events(cursor, "canary-failed")
    assert "was not set within 10 s" in entry["MESSAGE"]
    daemon = host.status()["daemon"]
    assert daemon["canary"]["error"] == "not set in time"
    assert daemon["sources"]["births"] == "the canary was not set in time"
    assert "not set in time" in host.execute("ipvsd doctor").stdout
    host.unload()
    host.load()
    host.wait_for_value("0")
    # The watchdog is fed for longer than its time, twice.
    host.machine.wait_until_succeeds(
        f'[ $(($(date +%s) - $(date +%s -d "$(systemctl show -P ActiveEnterTimestamp {SERVICE})")'
        ")) -gt 32 ]"
    )
    assert host.show("NRestarts") == "0"
