"""The guard in a container that is not privileged: it works, and needs what the chart gives it."""

import pytest

from tests.vm import container
from tests.vm.container import GuardContainer
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import KTHREADS, THOROUGH, TRIXIE
from tests.vm.product.setups import FLOOD
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

QUICK = "[guard]\nresync = 1s\ncanary = off\n"


@KTHREADS
def test_it_guards_the_host_and_the_service_waits_for_it(
    host: Guarded, spaces: Spaces, guard: GuardContainer
):
    guard.start()
    guard.wait_until_alive()
    host.load()
    host.wait_for_value("0")
    born = [spaces.process(), spaces.named("named"), spaces.podman_named("shop")]
    spaces.wait_for("0", *born)
    host.set("1")
    host.wait_for_value("0")
    status = guard.status()
    assert status["daemon"]["sources"] == {
        "births": "on", "mounts": "on", "devices": "off", "uevents": "on", "writes": "on",
    }  # fmt: skip
    assert status["daemon"]["shared_procfs"] == ""
    assert "podman shop" in {one["name"] for one in status["namespaces"]}
    assert {one["state"] for one in status["namespaces"]} == {"off"}
    assert host.status()["daemon"]["pid"] == status["daemon"]["pid"], "the host's command sees it"
    lines = guard.log().splitlines()
    assert "another network namespace" not in "".join(lines)
    assert not any(line.startswith("<") for line in lines), "plain lines, without a priority"

    # The package is installed too: its service waits, and guards when the container is killed.
    cursor = host.cursor()
    host.succeed(f"systemctl start {SERVICE}")
    (waits,) = host.wait_for_events(cursor, "standby")
    assert f"another ipvsd (pid {status['daemon']['pid']}) guards this host" in waits["MESSAGE"]
    guard.kill()
    host.wait_for_events(cursor, "started")
    later = spaces.named("later")
    host.set("1")
    host.wait_for_value("0")
    spaces.wait_for("0", *born, later)
    assert host.show("NRestarts") == "0"

    # And the other way round; the folder of the lock may be another one then.
    guard.start()
    guard.wait_for_log("this one waits until it ends")
    guard.wait_until_alive()
    host.succeed(f"systemctl stop {SERVICE}")
    guard.wait_for_log("guard: started")
    host.set("1")
    host.wait_for_value("0")


# What is lost without each thing that the container is given. test_privileges.py asks the same of
# the unit's capabilities.


@THOROUGH
@TRIXIE
@pytest.mark.parametrize(
    "without, lost",
    [
        ("", {}),
        ("SYS_ADMIN", {"named", "process", "descriptor"}),
        ("SYS_PTRACE", {"named", "process", "descriptor"}),
        ("DAC_READ_SEARCH", {"descriptor"}),
        ("/sys/kernel", {"births"}),
    ],
)
def test_what_is_lost_without(
    host: Guarded, spaces: Spaces, guard: GuardContainer, without: str, lost: set[str]
):
    """Namespaces of each kind, and event sources; the host's value is guarded all the same."""
    held = {
        "named": spaces.named("named"),
        "process": spaces.process(),
        "descriptor": spaces.users_descriptor(),
    }
    guard.start(without, config=QUICK)
    guard.wait_until_alive()
    host.load()
    host.wait_for_value("0")
    host.wait_for_state(held["named"], "not permitted" if "named" in lost else "off")
    if "named" not in lost:
        host.check_again(spaces, held["named"])
    values, sources = spaces.values(), guard.status()["daemon"]["sources"]
    found = {kind for kind, inode in held.items() if values[inode] != "0"}
    found |= {name for name in ("births", "mounts", "writes", "uevents") if sources[name] != "on"}
    assert found == set(lost)


@THOROUGH
@TRIXIE
@pytest.mark.parametrize(
    "without, why",
    [
        ("/proc", "/host/proc/sys/net: does not exist"),
        (container.RUNTIME_FOLDER, "/host/run/ipvs-estoff-guard/lock: Read-only file system"),
    ],
)
def test_it_cannot_start_without(host: Guarded, guard: GuardContainer, without: str, why: str):
    guard.start(without)
    assert guard.wait() == 5
    assert why in guard.log()


@THOROUGH
@TRIXIE
def test_without_the_modules_folder_only_the_hosts_namespace_is_guarded(
    host: Guarded, spaces: Spaces, guard: GuardContainer
):
    """There the guard reads that ip_vs is loaded."""
    named = spaces.named("named")
    guard.start("/sys/module", config=QUICK)
    guard.wait_until_alive()
    host.load()
    for _ in range(2):
        host.wait_for_value("0")
        host.set("1")
    host.wait_for_value("0")
    assert spaces.value(named) == "1"


@THOROUGH
@TRIXIE
@pytest.mark.parametrize("lacking", ["", "NET_ADMIN"])
def test_without_cap_net_admin_a_storm_of_uevents_is_lost(
    host: Guarded, guard: GuardContainer, lacking: str
):
    guard.start(lacking, config=QUICK)
    guard.wait_until_alive()
    host.load()
    host.wait_for_value("0")
    guard.signal("STOP")
    host.succeed(f"{FLOOD}; modprobe -r ip_vs; modprobe ip_vs")
    guard.signal("CONT")
    host.wait_for_value("0")
    guard.wait_for_log("ip_vs was loaded, ")
    assert ("lost" in guard.log()) == bool(lacking)


@THOROUGH
@TRIXIE
@pytest.mark.parametrize("without", ["", "/etc/machine-id"])
def test_without_the_machine_id_the_host_has_no_place_in_a_share(
    host: Guarded, guard: GuardContainer, without: str
):
    guard.start(without, config="[guard]\nenforce_share = 50%\n")
    guard.wait_until_alive()
    assert (guard.status()["daemon"]["enforce_share"]["place"] is None) == bool(without)


@THOROUGH
@TRIXIE
@pytest.mark.parametrize("without", ["", "pid"])
def test_without_the_hosts_pids_the_hosts_commands_see_no_daemon(
    host: Guarded, guard: GuardContainer, without: str
):
    guard.start(without, config=QUICK)
    guard.wait_until_alive()
    assert (host.status()["daemon"] is None) == bool(without)


@THOROUGH
@TRIXIE
def test_without_the_hosts_network_another_namespace_is_called_the_hosts(
    host: Guarded, spaces: Spaces, guard: GuardContainer
):
    guard.start("network", config=QUICK)
    guard.wait_until_alive()
    host.load()
    host.wait_for_value("0")
    inode = int(host.succeed("stat -L -c %i /proc/1/ns/net"))
    names = {one["inode"]: one["name"] for one in guard.status()["namespaces"]}
    assert names[inode] != "host"
    guard.wait_for_log("runs in another network namespace than pid 1")
