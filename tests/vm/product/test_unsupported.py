"""A kernel without run_estimation: logged once, and everything else works."""

import pytest

from tests.vm.guarded import KEY, SERVICE, Guarded

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


def test_status_and_apply_report_the_missing_key_with_their_exit_code(host: Guarded):
    host.load()
    result = host.execute("ipvsd status")
    assert result.status == 3 and "unsupported" in result.stdout
    result = host.execute("ipvsd apply")
    assert result.status == 3 and "unsupported by ip_vs of the running kernel" in result.stderr


def test_other_keys_are_guarded(host: Guarded):
    host.configure("[sysctl]\nnet.ipv4.vs.am_droprate = 20\n")
    host.load()
    host.wait_for_value("20", "am_droprate")


def test_the_unit_of_an_old_systemd_has_no_error(host: Guarded):
    said = host.execute(f"journalctl --boot _PID=1 --grep '{SERVICE}.*(Failed|Invalid|Unknown)'")
    assert said.status == 1, said.stdout
