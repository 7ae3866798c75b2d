"""Changes by others on a real machine: drifts, contests, and values that are held."""

import re

import pytest

from tests.vm.guarded import FILE, KEY, SERVICE, Guarded
from tests.vm.product.kernels import BOOKWORM, EACH_KERNEL, KTHREADS, THOROUGH, births_on
from tests.vm.product.setups import ADD_SERVICE, FIRST_ESTIMATION_USEC, RESYNC_1S
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

# Without the periodic checks, resync's and the watchdog's, only events can help.
WITHOUT_WATCHDOG = "[Service]\nWatchdogSec=0\n"
RESYNC_1H = "[guard]\nresync = 1h\n"

# So many changes that a guard without limits would fill the journal.
CONTEST = f"for i in {{1..200}}; do echo 1 >{FILE}; sleep 0.05; done"


@births_on("bookworm", blind=True)
def test_a_change_inside_a_namespace_is_found_however_it_was_made(
    host: Guarded, tracefs: bool, spaces: Spaces
):
    before = host.cursor()
    host.load()
    inodes = spaces.named("one"), spaces.descriptor()
    host.configure(RESYNC_1S)
    spaces.wait_for("0")
    host.wait_for_events(before, "changed", 1 + len(inodes))
    for inode in inodes:
        for change in (spaces.set, spaces.set_through_another_proc):
            cursor = host.cursor()
            change(inode, "1")
            spaces.wait_for("0")
            (entry,) = host.wait_for_events(cursor, "changed")
            assert entry["IPVSD_NETNS_INODE"] == str(inode)
            assert entry["IPVSD_REASON"] == "drift"


@EACH_KERNEL
def test_a_change_in_the_host_is_seen_at_once(host: Guarded):
    host.override_unit(WITHOUT_WATCHDOG)
    host.configure(RESYNC_1H)
    for _ in range(2):  # the second load has another file than the first
        host.load()
        host.wait_for_value("0")
        cursor = host.cursor()
        host.set("1")
        host.wait_for_value("0")
        (entry,) = host.wait_for_events(cursor, "changed")
        assert (entry["IPVSD_NAMESPACE"], entry["IPVSD_REASON"]) == ("host", "drift")
        assert 0 < int(entry["IPVSD_REACTION_USEC"]) < FIRST_ESTIMATION_USEC
        host.unload()


@births_on("bookworm")
def test_a_contest_is_logged_once_and_set_once_a_second(
    host: Guarded, tracefs: bool, spaces: Spaces
):
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    contest = spaces.background(CONTEST)
    (entry,) = host.wait_for_events(cursor, "contested")
    likely = r"something, likely bash \(pid \d+\), keeps" if tracefs else "something keeps"
    assert re.search(likely, entry["MESSAGE"])
    host.wait_for_state(host.status()["namespaces"][0]["inode"], "contested")
    host.machine.wait_until_succeeds(f"! systemctl is-active {contest}")  # 10 s and more
    assert len(host.events(cursor, "contested")) == 1
    host.wait_for_value("0")
    # Three writes at once, then one each second; only the first two are logged.
    assert len(host.events(cursor, "changed")) == 2
    seconds = int(host.wait_for_events(cursor, "contested")[0]["__REALTIME_TIMESTAMP"]) / 10**6
    seconds = float(host.succeed("date +%s.%N")) - seconds
    writes = host.status()["daemon"]["counters"]["writes"]["drift"]
    assert 4 < writes < 5 + seconds


@THOROUGH
@BOOKWORM
def test_a_contest_in_another_namespace_is_logged_too(host: Guarded, spaces: Spaces):
    host.configure(RESYNC_1S)
    host.load()
    inode = spaces.process()
    spaces.wait_for("0", inode)
    cursor = host.cursor()
    inside = f"nsenter --net={spaces.paths[inode]} bash -c '{CONTEST}'"
    contest = spaces.background(f"while :; do {inside}; done")
    (entry,) = host.wait_for_events(cursor, "contested")
    assert entry["IPVSD_NETNS_INODE"] == str(inode)
    host.wait_for_state(inode, "contested")
    host.succeed(f"systemctl stop {contest}; systemctl reload {SERVICE}")
    spaces.wait_for("0", inode)


@THOROUGH
@BOOKWORM
def test_a_contested_value_is_left_alone_where_configured(host: Guarded, spaces: Spaces):
    host.configure("[guard]\nresync = 1s\ncontested = yield\n")
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    contest = spaces.background(CONTEST)
    host.wait_for_events(cursor, "contested")
    host.wait_for_value("1")
    yielded = host.cursor()
    host.machine.wait_until_succeeds(f"! systemctl is-active {contest}")
    spaces.wait_for("0", spaces.process())  # the guard continues in other namespaces
    assert host.value() == "1"
    assert host.events(yielded, "contested") == []
    assert host.status()["daemon"]["counters"]["writes"]["drift"] == 3
    assert host.status()["namespaces"][0]["state"] == "contested"
    host.succeed(f"systemctl reload {SERVICE}")
    host.wait_for_value("0")


@KTHREADS
def test_a_value_is_held_while_the_services_are_young(host: Guarded):
    host.succeed(f"systemctl stop {SERVICE}")
    host.load()
    host.succeed(ADD_SERVICE)
    cursor = host.cursor()
    host.succeed(f"systemctl start {SERVICE}")
    (held,) = host.wait_for_events(cursor, "held")
    host.wait_for_value("0")
    (changed,) = host.wait_for_events(cursor, "changed")
    waited_usec = int(changed["__REALTIME_TIMESTAMP"]) - int(held["__REALTIME_TIMESTAMP"])
    # 3 s from the check; the first message comes when the start has set all sources.
    assert waited_usec > 2_000_000 and changed["IPVSD_REASON"] == "start"
    host.stop_serving()
    host.unload()
    cursor = host.cursor()
    host.load()  # without services nothing is held
    host.wait_for_value("0")
    assert host.events(cursor, "held") == []


RESTARTING = ("run_estimation", "est_cpulist", "est_nice")
SEEN = "/run/seen"
# Batches of services, and the values after each batch.
BATCHES = (
    "batch=0; while [ $SECONDS -lt {seconds} ]; do batch=$((batch + 1)); "
    'for one in {{1..20}}; do echo "-A -t 10.1.$batch.$one:80 -s rr"; done | ipvsadm --restore; '
    f"echo $(cd /proc/sys/net/ipv4/vs && cat {' '.join(RESTARTING)}) >>{SEEN}; sleep 0.5; done"
)


@KTHREADS
@pytest.mark.parametrize("seconds", [8, pytest.param(40, marks=THOROUGH)])
def test_nothing_that_restarts_threads_is_written_while_services_are_added(
    host: Guarded, spaces: Spaces, seconds: int
):
    """A kernel that shows the fix is written after 30 s; 6.12, which lacks it, would hang."""
    host.configure(f"{RESYNC_1S}[sysctl]\nnet.ipv4.vs.est_cpulist = 0\nnet.ipv4.vs.est_nice = 5\n")
    host.succeed(f"systemctl stop {SERVICE}; rm -f {SEEN}")
    host.load()
    host.succeed(ADD_SERVICE)
    before = [host.value(key) for key in RESTARTING]
    fixed = "the loaded ip_vs has the fix 2fd109238925" in host.succeed("ipvsd doctor --json; true")
    cursor = host.cursor()
    adding = spaces.background(BATCHES.format(seconds=seconds))
    host.succeed(f"systemctl start {SERVICE}")
    assert len(host.wait_for_events(cursor, "held", len(RESTARTING))) == len(RESTARTING)
    if seconds > 30:  # long enough for a look, on a busy machine too
        assert host.status()["namespaces"][0]["state"] == "held"
    host.machine.wait_until_succeeds(f"! systemctl is-active {adding}")
    seen = [line.split() for line in host.succeed(f"cat {SEEN}").splitlines()]
    assert len(seen) > seconds / 4
    held_for_good = not fixed or seconds < 30
    assert (seen[-1] == before) == held_for_good and seen[len(seen) // 2] == before
    assert len(host.events(cursor, "held-long")) == (3 if seconds > 30 and not fixed else 0)
    host.wait_for_value("0")
    host.wait_for_value("0", "est_cpulist")
    host.wait_for_value("5", "est_nice")
    changed = [entry["IPVSD_KEY"] for entry in host.wait_for_events(cursor, "changed", 3)]
    assert changed[0] == KEY  # the threads have ended when the others are written
