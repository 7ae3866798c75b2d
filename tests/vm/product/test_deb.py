"""The package for Debian with apt: installation, upgrade, removal and purge."""

from collections.abc import Iterator

import pytest

from ipvsd import __version__
from tests.vm import images, repository
from tests.vm.guarded import FILE, SERVICE, Guarded
from tests.vm.machine import Machine
from tests.vm.repository import GUEST_APT_FOLDER, NEWER

# Kernels with the setting, on the oldest Debian that has what the package needs, on the newest
# stable one, and on unstable. vendor is Debian 11 with another ip_vs.
SUITES = (images.VENDOR, "trixie", "sid")
pytestmark = [
    pytest.mark.vm,
    pytest.mark.thorough,
    pytest.mark.parametrize(
        "host",
        [pytest.param(suite, marks=pytest.mark.xdist_group(f"{suite}, apt")) for suite in SUITES],
        indirect=True,
    ),
]

CONFIG = "/etc/ipvs-estoff-guard/guard.conf"
OLD = f"{__version__}-1"
NEW = f"{OLD}{NEWER}"
# Whatever is called like ours, but for the repository and what apt and journald remember.
FIND = (
    r"find / -xdev \( -name 'ipvs-estoff*' -o -name 'ipvsd*' \) -not -path '/srv/*' "
    r"-not -path '/var/*' -not -path '/etc/apt/*'"
)


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """Start a machine with apt, and with a repository that has two releases of the package."""
    folder = repository.build_apt()
    with Machine(images.build(request.param, *images.APT_PACKAGES)) as machine:
        host = Guarded(machine)
        host.use_apt_repository(folder)
        yield host


@pytest.fixture(autouse=True)
def old_release(host: Guarded) -> None:
    """Begin with the older release, enabled and running."""
    host.apt("install", "--allow-downgrades", f"{SERVICE}={OLD}")
    host.succeed(f"systemctl enable --now {SERVICE}")


def version(host: Guarded) -> str:
    form = "${db:Status-Status} ${Version}"
    status, _, found = host.succeed(f"dpkg-query -W -f '{form}' {SERVICE}").partition(" ")
    return found if status == "installed" else status


def unit(host: Guarded) -> tuple[str, str]:
    enabled = host.execute(f"systemctl is-enabled {SERVICE}").stdout.strip()
    return host.show("ActiveState"), enabled


def test_the_life_of_the_package(host: Guarded):
    host.apt("purge", SERVICE)
    assert host.succeed(FIND) == ""
    host.apt("install", f"{SERVICE}={OLD}")
    assert unit(host) == ("inactive", "disabled"), "as README.Debian says"
    assert host.succeed(f"dpkg --verify {SERVICE}") == ""
    host.succeed("ipvsd --version; ipvsd config --check")
    assert "The guard has started" in host.succeed("journalctl --list-catalog")
    # A start reads only bytecode, which the package has compiled.
    host.succeed("strace -f -e trace=openat -z -o /tmp/opened ipvsd --version")
    opened = host.succeed(f"grep -o '/usr/share/{SERVICE}/.*py[^\"]*' /tmp/opened").split()
    assert {path.rpartition(".")[2] for path in opened} == {"pyc"}

    host.succeed(f"systemctl enable --now {SERVICE}")
    host.load()
    host.wait_for_value("0")
    host.succeed(f"echo '[guard]' >>{CONFIG}; echo 'resync = 9s' >>{CONFIG}")
    before = host.show("MainPID")
    host.apt("install", SERVICE)
    assert version(host) == NEW
    assert unit(host) == ("active", "enabled") and host.show("MainPID") != before
    host.succeed(f"grep -qx 0 {FILE}")
    assert "9s" in host.succeed("ipvsd config")

    host.succeed("touch /etc/ipvs-estoff-guard/conf.d/own.conf")
    host.apt("remove", SERVICE)
    assert host.show("ActiveState") == "inactive" and host.value() == "0"
    host.succeed(f"grep -qx 'resync = 9s' {CONFIG}")
    host.apt("purge", SERVICE)
    assert host.succeed(FIND) == "" and host.value() == "0"
    host.apt("install", f"{SERVICE}={OLD}")
    assert unit(host) == ("inactive", "disabled"), "a purge has forgotten that it was enabled"


def test_an_upgrade_does_not_start_or_enable_what_the_user_has_stopped(host: Guarded):
    host.succeed(f"systemctl disable --now {SERVICE}")
    host.apt("install", SERVICE)
    assert version(host) == NEW and unit(host) == ("inactive", "disabled")
    host.apt("install", "--allow-downgrades", f"{SERVICE}={OLD}")
    assert unit(host) == ("inactive", "disabled")


def test_a_changed_repository_is_refused(host: Guarded):
    host.succeed(
        f"cp {GUEST_APT_FOLDER}/InRelease /tmp; sed -i s/^Origin/X/ {GUEST_APT_FOLDER}/InRelease"
    )
    try:
        with pytest.raises(AssertionError, match="(?i)signature"):
            host.apt("update")
    finally:
        host.succeed(f"cp /tmp/InRelease {GUEST_APT_FOLDER}")
