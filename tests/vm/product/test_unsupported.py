"""A kernel without run_estimation: logged once, and everything else works."""

import json

import pytest

from tests.vm.guarded import COUNTERS_FILE, KEY, SERVICE, Guarded
from tests.vm.product.setups import traces
from tests.vm.spaces import Spaces

pytestmark = [
    pytest.mark.vm,
    pytest.mark.xdist_group("bullseye"),
    pytest.mark.parametrize("host", ["bullseye"], indirect=True),
]


def test_the_missing_key_is_logged_once_and_the_service_stays(host: Guarded):
    cursor = host.cursor()
    for _ in range(3):
        host.load()
        host.machine.wait_until_succeeds(
            f"systemctl show -p StatusText {SERVICE} | grep unsupported"
        )
        host.unload()
        host.machine.wait_until_succeeds(f"systemctl show -p StatusText {SERVICE} | grep absent")
    (entry,) = host.events(cursor, "unsupported")
    assert KEY in entry["MESSAGE"] and "does not offer it" in entry["MESSAGE"]
    assert host.show("ActiveState") == "active"


def test_namespaces_are_neither_searched_nor_logged(host: Guarded, spaces: Spaces):
    host.configure("[guard]\nresync = 1s\n")
    cursor = host.cursor()
    host.load()
    (entry,) = host.wait_for_events(cursor, "unsupported")
    daemon = host.status()["daemon"]
    assert daemon["sources"]["births"] == "off" and traces(host) == (0, 0)
    spaces.named("own")
    spaces.process()
    host.succeed("touch /run/now")
    # It is written at each check.
    host.machine.wait_until_succeeds(f"[ {COUNTERS_FILE} -nt /run/now ]")
    described = host.machine.wait_until_succeeds(
        "grep unsupported /run/ipvs-estoff-guard/namespaces.json"
    )
    assert [one["state"] for one in json.loads(described)["namespaces"]] == ["unsupported"]
    assert len(host.events(cursor, "unsupported")) == 1


def test_other_keys_are_guarded_in_each_namespace_and_the_missing_one_is_logged_once(
    host: Guarded, spaces: Spaces
):
    host.configure("[guard]\nresync = 1s\n[sysctl]\nnet.ipv4.vs.am_droprate = 20\n")
    cursor = host.cursor()
    host.load()
    for name in ("one", "two"):
        spaces.named(name)
        read = f"ip netns exec {name} cat /proc/sys/net/ipv4/vs/am_droprate"
        host.machine.wait_until_succeeds(f"[ $({read}) = 20 ]")
    assert len(host.events(cursor, "unsupported")) == 1


def test_status_and_apply_report_the_missing_key_with_their_exit_code(host: Guarded):
    host.load()
    result = host.execute("ipvsd status")
    assert result.status == 3 and "unsupported" in result.stdout
    result = host.execute("ipvsd apply")
    assert result.status == 3 and "unsupported by ip_vs of the running kernel" in result.stderr


def test_the_unit_of_an_old_systemd_has_no_error(host: Guarded):
    said = host.execute(f"journalctl --boot _PID=1 --grep '{SERVICE}.*(Failed|Invalid|Unknown)'")
    assert said.status == 1, said.stdout
