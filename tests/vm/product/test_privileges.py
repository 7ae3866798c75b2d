"""The privileges of the unit: the guard needs each of them."""

import json
import re

import pytest

from tests.vm.guarded import SERVICE, SPACES_FILE, Guarded
from tests.vm.product.kernels import ANY_KERNEL, BOOKWORM, with_each
from tests.vm.product.setups import CAPABILITIES, FLOOD, without
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm


@ANY_KERNEL
def test_the_guard_has_these_capabilities_and_a_filter_of_system_calls(host: Guarded):
    status = host.succeed(f"cat /proc/{host.show('MainPID')}/status")
    found = dict(re.findall(r"^(\w+):\t(\S+)", status, re.M))
    names = host.succeed(f"capsh --decode={found['CapBnd']}").strip().partition("=")[2]
    assert tuple(sorted(names.upper().split(","))) == CAPABILITIES
    assert found["CapEff"] == found["CapBnd"]
    assert found["CapAmb"] == "0" * 16
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


@BOOKWORM
def test_only_the_loop_has_priority_over_others(host: Guarded, spaces: Spaces):
    spaces.process()
    host.load()
    spaces.wait_for("0")
    pid = host.show("MainPID")
    assert host.succeed(f"ps -L -o ni= -p {pid}").split() == ["-10"], "the loop is one thread"
    children = host.succeed(f"ps -o ni=,comm= --ppid {pid}")
    nice = {name: number for number, name in map(str.split, children.splitlines())}
    assert "ipvsd-visits" in nice and set(nice.values()) == {"0"}


@BOOKWORM
@with_each("lacking", ["CAP_NET_ADMIN", ""])
def test_without_cap_net_admin_a_storm_of_uevents_is_lost(host: Guarded, lacking: str):
    without(host, lacking)
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    host.succeed(
        f"systemctl kill --signal=STOP {SERVICE}; {FLOOD}; "
        f"modprobe -r ip_vs; modprobe ip_vs; systemctl kill --signal=CONT {SERVICE}"
    )
    host.wait_for_value("0")
    host.wait_for_events(cursor, "changed")
    lost = len(host.events(cursor, "events-lost"))
    assert lost == bool(lacking)


@BOOKWORM
@with_each("lacking", ["CAP_SYS_ADMIN", ""])
def test_without_cap_sys_admin_no_namespace_is_entered(host: Guarded, spaces: Spaces, lacking: str):
    named = spaces.named("named")
    without(host, lacking)
    host.load()
    host.wait_for_value("0")
    host.wait_for_state(named, "not permitted" if lacking else "off")
    assert spaces.value(named) == ("1" if lacking else "0")


@BOOKWORM
@with_each("lacking", ["CAP_SYS_PTRACE", ""])
def test_without_cap_sys_ptrace_namespaces_of_processes_are_not_found(
    host: Guarded, spaces: Spaces, lacking: str
):
    """Not even those of root, which has more capabilities; and no mount can be entered."""
    held, named = spaces.process(), spaces.named("named")
    without(host, lacking)
    host.load()
    host.wait_for_state(named, "not permitted" if lacking else "off")
    found = json.loads(host.succeed(f"cat {SPACES_FILE}"))["namespaces"]
    assert (held in [one["inode"] for one in found]) == (not lacking)
    assert [spaces.value(one) for one in (held, named)] == ["1" if lacking else "0"] * 2


@BOOKWORM
@with_each("lacking", ["CAP_DAC_READ_SEARCH", ""])
def test_without_cap_dac_read_search_other_users_descriptors_are_not_found(
    host: Guarded, spaces: Spaces, lacking: str
):
    held, named = spaces.users_descriptor(), spaces.named("named")
    without(host, lacking)
    host.load()
    host.wait_for_state(named, "off")
    host.check_again(spaces, named)
    found = json.loads(host.succeed(f"cat {SPACES_FILE}"))["namespaces"]
    assert (held in [one["inode"] for one in found]) == (not lacking)
    assert spaces.value(held) == ("1" if lacking else "0")


@BOOKWORM
def test_without_any_capability_the_hosts_namespace_is_guarded(host: Guarded):
    without(host, *CAPABILITIES)
    for _ in range(2):
        host.load()
        host.wait_for_value("0")
        host.unload()
    assert host.show("ActiveState") == "active"


# Directives that would be tighter. SECURITY.md has a row for each, and for those without effect.


def tighten(host: Guarded, directives: str) -> None:
    """Add directives to the unit, for its next start."""
    host.configure("[guard]\ncanary = off\n")
    host.drop_in_unit(f"[Service]\nTimeoutStartSec=5s\n{directives}\n")


@BOOKWORM
@with_each(
    "directives",
    [
        "RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX",
        "RestrictAddressFamilies=\nRestrictAddressFamilies=AF_NETLINK",
        "ProcSubset=pid",
    ],
)
def test_the_guard_could_not_start_with(host: Guarded, directives: str):
    tighten(host, directives)
    host.fail(f"systemctl restart {SERVICE}")


@BOOKWORM
@with_each("directives", ["RestrictNamespaces=yes", "PrivateUsers=yes"])
def test_the_guard_could_enter_no_namespace_with(host: Guarded, spaces: Spaces, directives: str):
    named = spaces.named("named")
    tighten(host, directives)
    host.succeed(f"systemctl restart {SERVICE}")
    host.load()
    host.wait_for_state(named, "not permitted")
    assert spaces.value(named) == "1"


@BOOKWORM
def test_no_births_would_be_reported_to_another_user(host: Guarded):
    tighten(host, f"User=nobody\nAmbientCapabilities={' '.join(CAPABILITIES)}")
    host.succeed(f"systemctl restart {SERVICE}")
    births = host.status()["daemon"]["sources"]["births"]
    assert births.endswith("/kprobe_events: Permission denied")
