"""The RPM with dnf: installation, upgrade, downgrade and removal."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipvsd import __version__
from tests.vm import repository
from tests.vm.guarded import FILE, SERVICE, Guarded
from tests.vm.repository import GUEST_FOLDER, NEWER

pytestmark = [
    pytest.mark.vm,
    pytest.mark.xdist_group("trixie"),
    pytest.mark.parametrize("host", ["trixie"], indirect=True),
]

CONFIG = "/etc/ipvs-estoff-guard/guard.conf"
OLD = f"{SERVICE}-{__version__}-1"
NEW = f"{OLD}{NEWER}"


@pytest.fixture(scope="module")
def both_releases() -> Path:
    """Build the repository with a newer package beside the present one."""
    return repository.build(with_newer=True)


@pytest.fixture(autouse=True)
def old_release(host: Guarded, both_releases: Path) -> Iterator[None]:
    """Begin and end with the older release, installed as the README says."""
    host.use_repository(both_releases)
    yield
    if host.execute(f"rpm -q {OLD}").status:
        host.execute(f"rpm -q {NEW} && rpm -e {SERVICE}")
        host.dnf("install", OLD)
    host.succeed(f"systemctl enable --now {SERVICE}")


def test_installing_leaves_what_is_in_the_package_and_starts_nothing(host: Guarded):
    host.dnf("remove", SERVICE)
    host.dnf("install", OLD)
    assert host.succeed(f"rpm --verify {SERVICE}") == ""
    assert host.show("ActiveState") == "inactive"
    # The package is compiled for this Python: a start reads only bytecode.
    host.succeed("strace -f -e trace=openat -z -o /tmp/opened ipvsd --version")
    opened = re.findall(rf'"/usr/share/{SERVICE}/.*\.(pyc?)"', host.succeed("cat /tmp/opened"))
    assert "pyc" in opened and "py" not in opened
    host.succeed("ipvsd --version; ipvsd config --check")
    explained = host.succeed("journalctl --list-catalog")
    assert "The guard has started" in explained


def test_a_changed_repository_is_refused(host: Guarded):
    metadata = f"{GUEST_FOLDER}/repodata/repomd.xml"
    host.succeed(f"cp {metadata} /tmp/good; echo '<!-- changed -->' >>{metadata}")
    try:
        with pytest.raises(AssertionError, match="(?i)gpg|signature"):
            host.dnf("--refresh", "upgrade", SERVICE)
    finally:
        host.succeed(f"cp /tmp/good {metadata}")
    host.succeed(f"rpm -q {OLD}")


def test_upgrade_and_downgrade_restart_a_running_guard_and_change_no_value(host: Guarded):
    host.load()
    host.wait_for_value("0")
    for word, package in (("upgrade", NEW), ("downgrade", OLD)):
        before = host.show("MainPID")
        host.dnf(word, package)
        host.succeed(f"rpm -q {package}; grep -qx 0 {FILE}")
        assert host.show("ActiveState") == "active"
        assert host.show("MainPID") != before
        assert host.succeed(f"systemctl is-enabled {SERVICE}").strip() == "enabled"


def test_an_upgrade_does_not_start_or_enable_what_the_user_has_stopped(host: Guarded):
    host.succeed(f"systemctl disable --now {SERVICE}")
    host.dnf("upgrade", NEW)
    assert host.show("ActiveState") == "inactive"
    assert host.execute(f"systemctl is-enabled {SERVICE}").stdout.strip() == "disabled"


def test_a_changed_configuration_survives_upgrade_and_removal(host: Guarded):
    host.succeed(
        f"cp -p {CONFIG} /tmp/original; echo '[guard]' >>{CONFIG}; echo resync=9s >>{CONFIG}"
    )
    host.dnf("upgrade", NEW)
    assert "9s" in host.succeed("ipvsd config")
    host.dnf("remove", SERVICE)
    host.succeed(f"grep resync=9s {CONFIG}.rpmsave; rm {CONFIG}.rpmsave")


def test_removal_stops_and_disables_and_rolls_nothing_back(host: Guarded):
    host.load()
    host.wait_for_value("0")
    host.dnf("remove", SERVICE)
    assert host.value() == "0"
    left = "find / -xdev ( -name 'ipvs-estoff*' -o -name 'ipvsd*' )"
    left = left.replace("(", r"\(").replace(")", r"\)")
    found = host.succeed(
        f"{left} -not -path '/srv/*' -not -path '/var/*' -not -path '/etc/yum.repos.d/*'"
    )
    assert found.split() == []
    assert host.execute(f"systemctl is-active {SERVICE}").stdout.strip() == "inactive"
    host.unload()
    host.load()
    assert host.value() == "1"
