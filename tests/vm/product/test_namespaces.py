"""Every network namespace of a real machine is guarded from its birth, whatever its holder."""

import json

import pytest

from tests.vm.guarded import SERVICE, Guarded
from tests.vm.probe import EstimationRuns
from tests.vm.product.kernels import ANY_KERNEL, BOOKWORM, THOROUGH, THREADED, births_on, on
from tests.vm.product.setups import ADD_SERVICE, FIRST_ESTIMATION_USEC, RESYNC_1S
from tests.vm.spaces import FOREIGN_VALUE, HIDDEN, Spaces

pytestmark = pytest.mark.vm

# The state of a namespace that another user namespace owns: up to Linux 6.9 it shows no sysctls,
# later its sysctls are read-only.
FOREIGN_STATE = {
    "vendor": "hidden",
    "bookworm": "hidden",
    "trixie": "read-only",
    "sid": "read-only",
}

# How often: enough for a figure on one kernel when thorough, and on the others to compare.
LOADS, LOADS_THOROUGH = 20, {"bookworm": 100}
BURSTS, BURSTS_THOROUGH = 4, {"bookworm": 20}
BURST = 25
BIRTHS, BIRTHS_THOROUGH = 500, 2000
MANY, MANY_THOROUGH = 300, 1000


# Each kind of holder, before and after the load


@births_on("bookworm", also=("trixie", "sid"))
def test_namespaces_from_before_the_load_are_switched_off_after_it(
    host: Guarded, tracefs: bool, spaces: Spaces
):
    kinds = spaces.every_kind()
    cursor = host.cursor()
    host.load()
    spaces.wait_for("0")
    assert host.value() == "0"
    entries = host.wait_for_events(cursor, "changed", len(kinds) + 1)
    assert entries[0]["IPVSD_NAMESPACE"] == "host"
    for kind, inode in kinds.items():
        (entry,) = host.about(inode, entries)
        assert entry["IPVSD_REASON"] == "load", kind
        assert 0 < int(entry["IPVSD_REACTION_USEC"]) < FIRST_ESTIMATION_USEC, kind


@births_on("bookworm", "trixie", also=("sid",), blind=True)
def test_namespaces_born_after_the_load_are_switched_off(
    host: Guarded, tracefs: bool, spaces: Spaces
):
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    kinds = spaces.every_kind()
    spaces.wait_for("0")
    entries = host.wait_for_events(cursor, "changed", len(kinds))
    for kind, inode in kinds.items():
        (entry,) = host.about(inode, entries)
        assert entry["IPVSD_REASON"] == "birth", kind
        if tracefs:
            reaction_usec = int(entry["IPVSD_REACTION_USEC"])
            # Deep scans take a small part of the time: emulated, the next may be seconds away.
            assert reaction_usec > 0, kind
            assert reaction_usec < FIRST_ESTIMATION_USEC or kind in HIDDEN, (kind, reaction_usec)
    assert host.about(kinds["named"], entries)[0]["IPVSD_NAMESPACE"] == "every"
    assert {one["state"] for one in host.status()["namespaces"]} == {"off"}


@births_on("bookworm", also=("trixie", "sid"))
def test_what_exists_when_the_guard_starts_is_off_before_ready(
    host: Guarded, tracefs: bool, spaces: Spaces
):
    host.succeed(f"systemctl stop {SERVICE}")
    host.load()
    spaces.every_kind()
    assert set(spaces.values().values()) == {"1"}
    cursor = host.cursor()
    host.succeed(f"systemctl start {SERVICE}")  # returns with READY=1
    assert set(spaces.values().values()) == {"0"}
    assert host.value() == "0"
    changed = host.events(cursor, "changed")
    # The canary is a namespace too, and it is born after the start.
    assert {entry["IPVSD_REASON"] for entry in changed} - {"birth"} == {"start"}


@births_on("bookworm")
def test_a_new_namespace_with_the_number_of_an_old_one_is_switched_off(
    host: Guarded, tracefs: bool, spaces: Spaces
):
    host.load()
    inode, old = spaces.named("again"), 0
    while inode != old:
        spaces.wait_for("0")
        cursor = host.cursor()
        old, inode = inode, spaces.replace_named("again")
    spaces.wait_for("0")
    (entry,) = host.about(inode, host.wait_for_events(cursor, "changed"))
    assert entry["IPVSD_REASON"] == "birth"


# Namespaces that cannot be changed, and files that are no namespace


@ANY_KERNEL
def test_a_namespace_of_another_user_is_logged_once_and_left_alone(host: Guarded, spaces: Spaces):
    suite = host.machine.image.suite
    foreign, own = spaces.user_owned(), spaces.named("own")
    host.configure(RESYNC_1S)
    cursor = host.cursor()
    for _ in range(3):
        host.load()
        spaces.wait_for("0", own)
        host.unload()
    host.load()
    for _ in range(2):
        host.check_again(spaces, own)
    (entry,) = host.wait_for_events(cursor, "foreign")
    assert entry["IPVSD_NETNS_INODE"] == str(foreign)
    assert host.events(cursor, "not-changed", "unreadable") == []
    assert host.shown(foreign)["state"] == FOREIGN_STATE[suite]
    assert spaces.value(foreign) == FOREIGN_VALUE[suite]
    assert host.execute("ipvsd status").status == 0  # nothing could be done about it


@births_on("trixie", also=("bookworm", "sid"))
def test_podmans_containers_are_found_and_named(host: Guarded, tracefs: bool, spaces: Spaces):
    host.load()
    rootful, alone = spaces.podman_rootful(), spaces.podman_rootful("none")
    rootless = spaces.podman_rootless()
    spaces.wait_for("0", rootful, alone)
    suite = host.machine.image.suite
    host.wait_for_state(rootless, FOREIGN_STATE[suite])
    for inode, expected in ((rootful, "off"), (alone, "off"), (rootless, FOREIGN_STATE[suite])):
        found = host.shown(inode)
        assert found["state"] == expected
        assert found["owner"]["container"] == spaces.containers[inode]
    assert spaces.value(rootless) == FOREIGN_VALUE[suite]


@THOROUGH
@BOOKWORM
def test_a_container_has_the_name_that_podman_gave_it(host: Guarded, spaces: Spaces):
    host.configure(RESYNC_1S)
    host.load()
    inode = spaces.podman_named("shop-web")
    spaces.wait_for("0")
    found = host.shown(inode)
    assert found["name"] == "podman shop-web"
    assert (found["owner"]["engine"], found["owner"]["container_name"]) == ("podman", "shop-web")
    # The service too can read podman's files, in its sandbox.
    cursor = host.cursor()
    spaces.set(inode, "1")
    spaces.wait_for("0")
    (entry,) = host.about(inode, host.wait_for_events(cursor, "changed"))
    assert entry["IPVSD_NAMESPACE"] == "podman shop-web"


@births_on("bookworm")
def test_a_name_that_is_no_mount_is_not_logged(host: Guarded, tracefs: bool, spaces: Spaces):
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    spaces.not_a_mount("plain")
    inode = spaces.named("real")
    spaces.wait_for("0")
    host.wait_for_events(cursor, "changed")
    logged = [entry for entry in host.events(cursor) if entry["IPVSD_EVENT"] != "canary-set"]
    assert host.about(inode, logged) == logged
    assert "plain" not in host.succeed("ipvsd status --all")


@BOOKWORM
def test_without_root_other_namespaces_are_not_shown_and_status_says_so(
    host: Guarded, spaces: Spaces
):
    host.load()
    spaces.wait_for("0", spaces.process())
    as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    assert "run it as root to see the others" in host.succeed(f"{as_nobody} ipvsd status")
    document = json.loads(host.succeed(f"{as_nobody} ipvsd status --json"))
    assert [one["name"] for one in document["namespaces"]] == ["host"]


# Policy


@THOROUGH
@BOOKWORM
def test_a_member_that_moves_to_another_control_group_moves_under_its_rule(
    host: Guarded, spaces: Spaces
):
    host.configure(RESYNC_1S + "[namespaces]\nexclude = cgroup:/left-alone\n")
    host.load()
    inode = spaces.process()
    spaces.wait_for("0")
    member = host.shown(inode)["owner"]["pid"]
    group = "/sys/fs/cgroup/left-alone"
    host.succeed(f"mkdir -p {group} && echo {member} >{group}/cgroup.procs")
    cursor = host.cursor()
    spaces.set(inode, "1")
    host.wait_for_state(inode, "excluded")
    assert spaces.values()[inode] == "1"
    assert host.shown(inode)["rule"].startswith("excluded by cgroup:/left-alone")
    assert host.about(inode, host.events(cursor, "changed")) == []


@THOROUGH
@BOOKWORM
def test_a_link_made_for_ip_netns_is_a_name_of_the_namespace(host: Guarded, spaces: Spaces):
    host.load()
    inode = spaces.process()
    spaces.wait_for("0")
    member = host.shown(inode)["owner"]["pid"]
    host.succeed(f"mkdir -p /run/netns && ln -s /proc/{member}/ns/net /run/netns/linked")
    try:
        assert "linked" in host.succeed("ip netns list")
        shown = host.succeed("ipvsd estimation on --runtime --namespace linked")
        assert "namespaces: 1: 1 on" in shown
        assert spaces.values()[inode] == "1" and host.value() == "0"
        found = host.shown(inode)
        assert (found["name"], found["owner"]["links"]) == ("linked", ["/run/netns/linked"])
    finally:
        host.succeed("rm /run/netns/linked")


@BOOKWORM
def test_an_excluded_namespace_is_not_touched_and_shown_with_its_rule(
    host: Guarded, spaces: Spaces
):
    host.configure(RESYNC_1S + "[namespaces]\nexclude = name:web*, unit:spaces-thread-*\n")
    web, unit, other = spaces.named("web1"), spaces.thread(), spaces.named("other")
    host.load()
    spaces.wait_for("0", other)
    host.check_again(spaces, other)
    assert spaces.values() == {web: "1", unit: "1", other: "0"}
    assert (host.shown(other)["state"], host.shown(other)["rule"]) == ("off", None)
    for inode, rule in ((web, "name:web*"), (unit, "unit:spaces-thread-*")):
        found = host.shown(inode)
        assert found["state"] == "excluded"
        assert found["rule"].startswith(f"excluded by {rule} (/etc/")
    assert host.execute("ipvsd status").status == 0


@BOOKWORM
def test_one_namespace_keeps_its_estimation(host: Guarded, spaces: Spaces):
    host.configure(RESYNC_1S + "[sysctl name:monitor]\nnet.ipv4.vs.run_estimation = 1\n")
    host.load()
    monitor, other = spaces.named("monitor"), spaces.named("other")
    spaces.wait_for("0", other)
    host.check_again(spaces, other)
    assert spaces.values() == {monitor: "1", other: "0"}
    found = host.shown(monitor)
    assert found["state"] == "on" and found["rule"].startswith("name:monitor (/etc/")
    spaces.set(monitor, "0")  # guarded at 1
    spaces.wait_for("1", monitor)


@BOOKWORM
def test_only_the_host_is_guarded_where_configured(host: Guarded, spaces: Spaces):
    host.configure(RESYNC_1S + "[namespaces]\nscope = host\n")
    spaces.every_kind()
    host.load()
    host.wait_for_value("0")
    host.set("1")
    host.wait_for_value("0")
    assert set(spaces.values().values()) == {"1"}
    assert [one["name"] for one in host.status()["namespaces"]] == ["host"]


# Many


@births_on("bookworm")
def test_after_many_births_and_deaths_nothing_is_left_over(
    host: Guarded, tracefs: bool, spaces: Spaces, thorough: bool
):
    cursor = host.cursor()
    host.load()
    host.wait_for_events(cursor, "canary-set")  # the canary has a process while it lives
    before = spaces.kernel_count()
    pid = host.show("MainPID")
    visits = host.succeed(f"pgrep -P {pid} -x ipvsd-visits").strip()
    counted = {
        one: int(host.succeed(f"ls /proc/{one}/fd | wc -l").strip()) for one in (pid, visits)
    }
    spaces.churn(BIRTHS_THOROUGH if thorough else BIRTHS)
    spaces.wait_for_kernel_count(before)
    for one, descriptors in counted.items():
        host.machine.wait_until_succeeds(
            f"[ $(ls /proc/{one}/fd | wc -l) -le {descriptors} ] && "
            f"[ $(ls /proc/{one}/task | wc -l) -eq 1 ]"
        )
    # That writes files and that visits; a canary and a render come and go.
    host.machine.wait_until_succeeds(f"[ $(pgrep -P {pid} | wc -l) -le 2 ]")
    assert (host.show("ActiveState"), host.show("MainPID")) == ("active", pid)
    assert host.status()["daemon"]["counters"]["failures"] == 0
    spaces.named("last")
    spaces.wait_for("0")


@on("trixie", also=("bookworm", "sid"))
def test_no_estimation_runs_in_any_of_many_loads(host: Guarded, spaces: Spaces, thorough: bool):
    loads = LOADS_THOROUGH.get(host.machine.image.suite, LOADS) if thorough else LOADS
    spaces.burst(50)
    host.load()  # for the counter
    with EstimationRuns(host.machine) as runs:
        host.unload()
        spaces.loads(loads, "0")
        host.load()
        spaces.wait_for("0")
        host.wait_for_value("0")
        if host.machine.image.suite in THREADED:
            # Where kernel threads estimate, there is none without a service.
            host.succeed(ADD_SERVICE)
            host.fail("pgrep ipvs-e")
        assert runs.count() == 0
        counters = host.status()["daemon"]["counters"]
        assert counters["loads"] == loads + 2
        assert counters["passes_leaked"] == counters["failures"] == 0
        # The probe does count runs.
        host.succeed(f"systemctl stop {SERVICE}")
        host.set("1")
        runs.wait_for_one()
    host.stop_serving()


@on("bookworm", also=("trixie", "sid"))
def test_no_estimation_runs_in_any_of_many_births(host: Guarded, spaces: Spaces, thorough: bool):
    bursts = BURSTS_THOROUGH.get(host.machine.image.suite, BURSTS) if thorough else BURSTS
    host.load()
    host.wait_for_value("0")
    with EstimationRuns(host.machine) as runs:
        for _ in range(bursts):
            inodes = spaces.burst(BURST)
            spaces.wait_for("0", *inodes)
        if host.machine.image.suite in THREADED:
            spaces.execute_in(inodes[0], ADD_SERVICE)
            host.fail("pgrep ipvs-e")
        assert runs.count() == 0
        assert host.status()["daemon"]["counters"]["passes_leaked"] == 0
        # The probe does count runs.
        host.succeed(f"systemctl stop {SERVICE}")
        inode = spaces.process()
        spaces.execute_in(inode, ADD_SERVICE)
        runs.wait_for_one()
    spaces.clear()
    host.stop_serving()


@THOROUGH
@BOOKWORM
def test_status_of_many_is_a_screenful_unless_all_are_wanted(
    host: Guarded, spaces: Spaces, thorough: bool
):
    many = MANY_THOROUGH if thorough else MANY
    host.load()
    inodes = spaces.burst(many)
    spaces.wait_for("0", timeout=300)
    result = host.execute("ipvsd status")
    assert result.status == 0
    assert len(result.stdout.splitlines()) <= 24
    assert f"{many + 1} off" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("`ipvsd status --all` lists them.")
    result = host.execute("ipvsd status --all")
    assert result.status == 0
    assert all(str(inode) in result.stdout for inode in inodes)
    # What is not as wanted comes first, right behind the host.
    host.succeed(f"systemctl stop {SERVICE}")
    spaces.set(inodes[many // 2], "1")
    result = host.execute("ipvsd status")
    assert result.status == 1
    lines = result.stdout.splitlines()
    assert len(lines) <= 24
    table = next(number for number, line in enumerate(lines) if line.startswith("NAMESPACE"))
    assert lines[table + 1].startswith("host ") and str(inodes[many // 2]) in lines[table + 2]
