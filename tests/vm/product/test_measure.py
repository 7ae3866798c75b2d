"""`ipvsd measure` with real services and traffic, compared with counts of the harness."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm.command import PATIENCE_S
from tests.vm.guarded import FILE, SERVICE, Guarded
from tests.vm.probe import Calls, EstimationRuns
from tests.vm.product.kernels import THOROUGH, on
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

# One service with a real server that is used, many unused ones, and the namespace itself.
SERVICES, REAL_SERVERS = 1000, 2
ESTIMATORS = 1 + 2 + SERVICES * (1 + REAL_SERVERS)
ADDRESS = "192.0.2.1"

TRACING = "/sys/kernel/tracing"
HARNESS = f"{TRACING}/instances/harness"
DROP_IN = "/run/ipvs-estoff-guard.conf.d/95-measure.conf"
LONG_S = 10 * PATIENCE_S
# Prints everything that a measurement has left.
LEFT = (
    f"ls -d {TRACING}/instances/ipvsd-measure-* {DROP_IN} 2>/dev/null; "
    f"grep ipvsd_measure {TRACING}/kprobe_events; pgrep -a 'ipvsd|ping'| grep measure"
)


@pytest.fixture
def loaded(host: Guarded, spaces: Spaces) -> Iterator[Guarded]:
    """Prepare the host with services, traffic and a running guard: the value is 0."""
    host.load()
    host.wait_for_value("0")
    host.serve()
    host.serve_many(SERVICES, REAL_SERVERS)
    spaces.background(host.traffic_loop)
    yield host
    spaces.clear()
    host.succeed(f"systemctl restart {SERVICE}; ipvsd estimation off --quiet", timeout=LONG_S)
    host.stop_serving()


def measure(host: Guarded, *words: str) -> Any:
    """Measure, and return the document."""
    return json.loads(host.succeed(f"ipvsd measure --json {' '.join(words)}", timeout=LONG_S))


def assert_nothing_is_left(host: Guarded) -> None:
    host.machine.wait_until_succeeds(f"! ({LEFT}) | grep .", timeout=PATIENCE_S)


def counted(host: Guarded, phase: Any) -> int:
    """Return how many runs began in a phase, by the harness's own probe."""
    began = phase["monotonic_usec"]
    times = re.findall(r"(\d+)\.(\d{6}): call:", host.succeed(f"cat {HARNESS}/trace"))
    usecs = [int(seconds) * 10**6 + int(micros) for seconds, micros in times]
    return sum(began <= usec < began + phase["duration_usec"] for usec in usecs)


@on("bookworm", also=("trixie",))
def test_estimators_and_runs_are_those_that_the_kernel_has(loaded: Guarded):
    loaded.stop_serving()
    loaded.unload()
    with Calls(loaded.machine, "ip_vs:ip_vs_start_estimator") as calls:
        loaded.load()
        loaded.wait_for_value("0")
        loaded.serve()
        loaded.serve_many(SERVICES, REAL_SERVERS)
        assert calls.count() == ESTIMATORS
    loaded.succeed("ipvsd estimation on --runtime --quiet", timeout=LONG_S)
    with EstimationRuns(loaded.machine):
        document = measure(loaded, "--ping", ADDRESS)
        (phase,) = document["phases"]
        independent = counted(loaded, phase)
    assert document["namespaces"][0]["estimators"] == ESTIMATORS
    low, high = document["namespaces"][0]["predicted_usec"]
    cpus = document["possible_cpus"]
    assert (low, high) == (ESTIMATORS * cpus * 35 // 1000, ESTIMATORS * cpus * 52 // 1000)
    runs = phase["passes"]
    assert independent >= 9, "ten runs of the timer, or of chains, in 20 s"
    assert abs(runs["count"] - independent) <= max(1, independent // 10)
    assert runs["lost"] == 0
    assert sum(cpu["count"] for cpu in runs["cpus"]) == runs["count"]
    assert 0 < runs["median_usec"] <= runs["max_usec"]
    kind = "kthread" if phase["threads"] else "timer"
    assert document["estimator"] == kind == {"bookworm": "timer"}.get(suite(loaded), "kthread")
    if kind == "timer":
        assert [one["name"] for one in runs["namespaces"]] == ["host"]
    else:
        assert sum(thread["run_usec"] for thread in phase["threads"]) >= runs["sum_usec"] * 0.9
        assert {thread["namespace"] for thread in phase["threads"]} == {"host"}
        assert any(sentence.startswith("estimation ran ") for sentence in document["verdict"])
    pings = phase["pings"]
    assert pings["count"] > 100 and pings["lost"] == 0
    both = pings["during_passes"]["count"] + pings["apart_from_passes"]["count"]
    assert both == pings["count"]
    assert_nothing_is_left(loaded)


def suite(host: Guarded) -> str:
    return host.machine.image.suite


@on("trixie", also=("bookworm",))
def test_at_0_no_run_does_any_work(loaded: Guarded):
    with EstimationRuns(loaded.machine) as harness:
        (phase,) = measure(loaded, "--duration 10s")["phases"]
        assert harness.count() == phase["passes"]["count"] == 0
    ticks = phase["passes"]["without_work"]
    assert (ticks >= 4) is (suite(loaded) == "bookworm"), "a timer ticks at 0 too"


@THOROUGH
@on("bookworm")
def test_two_at_once_and_the_guard_do_not_disturb_each_other(loaded: Guarded, spaces: Spaces):
    inode = spaces.named("other")
    spaces.wait_for("0", inode)
    loaded.succeed("ipvsd estimation on --namespace other --runtime --quiet")
    command = "ipvsd measure --duration 12s --json"
    loaded.succeed(f"{command} > /run/one & {command} --namespace other > /run/two; wait $!")
    one, two = (json.loads(loaded.succeed(f"cat /run/{name}")) for name in ("one", "two"))
    assert [space["name"] for space in two["namespaces"]] == ["other"]
    for document in (one, two):
        runs = document["phases"][0]["passes"]
        assert 4 <= runs["count"] <= 7, "one each 2 s"
        assert {space["inode"] for space in runs["namespaces"]} == {inode}
    assert loaded.status()["daemon"]["sources"]["births"] == "on"
    assert_nothing_is_left(loaded)


@on("trixie", also=("bookworm",))
def test_comparison_and_its_file(loaded: Guarded):
    words = f"--compare --yes --duration 6s --ping {ADDRESS} --save /run/saved.json"
    shown = loaded.succeed(f"ipvsd measure {words}", timeout=LONG_S)
    assert loaded.value() == "0"
    assert_nothing_is_left(loaded)
    assert loaded.succeed("ipvsd measure --show /run/saved.json") == shown
    document = json.loads(loaded.succeed("ipvsd measure --show /run/saved.json --json"))
    assert document == json.loads(loaded.succeed("cat /run/saved.json"))
    first, *off = document["phases"]
    assert [phase["name"] for phase in document["phases"]] == ["on", "off", "off again"]
    assert first["passes"]["count"] >= 2
    assert [phase["passes"]["count"] for phase in off] == [0, 0]
    assert (
        "ON" in shown
        and "OFF AGAIN" in shown
        and "█" not in shown.encode("ascii", "ignore").decode()
    )
    refused = loaded.execute("echo '{}' > /run/other.json; ipvsd measure --show /run/other.json")
    assert (refused.status, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1 and "/run/other.json: was not written" in refused.stderr


# When a comparison is ended: before it has switched, while estimation is on, and while it is off.
MOMENTS = {
    "begins": f"[ -e {DROP_IN} ]",
    "on": f"grep -qx 1 {FILE}",
    "off": (
        f"seen=${{seen:-}}; if grep -qx 1 {FILE}; then seen=1; fi; "
        f'[ -n "$seen" ] && grep -qx 0 {FILE}'
    ),
}


def end_at(host: Guarded, moment: str, signal: str, after_s: float = 0) -> int:
    """Begin a comparison, end it by a signal at a moment, and return its status."""
    wait = f"until {MOMENTS[moment]}; do kill -0 $! || exit 99; sleep 0.1; done; sleep {after_s}"
    script = (
        f"ipvsd measure --compare --yes --duration 3s --ping {ADDRESS} --quiet & "
        f"{wait}; kill -{signal} $!; wait $!"
    )
    return host.execute(f"bash -c {shlex.quote(script)}", timeout=LONG_S).status


NUMBERS = {"INT": 2, "TERM": 15, "HUP": 1, "KILL": 9}


@on("bookworm", also=("trixie",))
@pytest.mark.parametrize("guard", ["guard", pytest.param("no guard", marks=THOROUGH)])
def test_a_comparison_ended_at_any_moment_leaves_the_value_of_the_policy(
    loaded: Guarded, guard: str, thorough: bool
):
    signals = ("TERM", "KILL") if thorough and guard == "guard" else ("KILL",)
    if guard == "no guard":
        loaded.succeed(f"systemctl stop {SERVICE}")
    for moment in MOMENTS:
        for signal in signals:
            status = end_at(loaded, moment, signal)
            assert status == 128 + NUMBERS[signal], (moment, signal)
            assert_nothing_is_left(loaded)
            loaded.wait_for_value("0")
    # A shell without job control has its background jobs ignore SIGINT.
    status = loaded.execute(
        "timeout --foreground --signal=INT 25 ipvsd measure --compare --yes --quiet", timeout=LONG_S
    ).status
    assert status == 124
    assert_nothing_is_left(loaded)
    loaded.wait_for_value("0")


@THOROUGH
@on("bookworm")
def test_a_comparison_ended_later_in_a_phase_leaves_the_value_of_the_policy(loaded: Guarded):
    for moment, after_s in (("on", 3), ("off", 3), ("off", 7)):
        assert end_at(loaded, moment, "KILL", after_s) == 128 + 9, (moment, after_s)
        assert_nothing_is_left(loaded)
        assert loaded.value() == "0"


@on("bookworm")
def test_a_killed_measurement_leaves_no_probes(loaded: Guarded):
    seen = f"ls {TRACING}/instances | grep -q ipvsd-measure"
    script = f"ipvsd measure --quiet & until {seen}; do kill -0 $! || exit 99; sleep 0.1; done; "
    script += "kill -KILL $!"
    loaded.succeed(f"bash -c {shlex.quote(script)}")
    assert_nothing_is_left(loaded)


@on("bookworm")
def test_the_daemon_restores_the_value_after_both_were_killed(loaded: Guarded):
    """systemd kills the comparison and its cleanup process, as one control group."""
    script = "exec ipvsd measure --compare --yes --duration 60s --quiet"
    loaded.succeed(
        "systemd-run --quiet --collect --unit=comparing --property=KillSignal=SIGKILL "
        f"bash -c {shlex.quote(script)}"
    )
    loaded.wait_for_value("1")
    refused = loaded.execute("ipvsd measure --compare --yes --duration 3s")
    assert refused.status == 5 and "another comparison or refresh is running" in refused.stderr
    loaded.succeed("systemctl stop comparing")
    loaded.wait_for_value("0")
    loaded.succeed(f"[ -e {DROP_IN} ]")
    assert measure(loaded, "--compare --yes --duration 3s")["phases"][0]["passes"]["count"] > 0
    assert loaded.value() == "0"
    assert_nothing_is_left(loaded)


@THOROUGH
@on("bookworm", also=("trixie",))
def test_a_value_that_is_wanted_on_is_not_switched(loaded: Guarded):
    loaded.succeed("ipvsd estimation on --quiet", timeout=LONG_S)
    refused = loaded.execute("ipvsd measure --compare --yes")
    assert refused.status == 1 and "does not want estimation off" in refused.stderr
    assert loaded.value() == "1"
    assert loaded.execute("ipvsd measure --compare < /dev/null").status in (1, 2)
    assert_nothing_is_left(loaded)


@on("trixie")
def test_nothing_is_switched_while_services_are_being_added(loaded: Guarded):
    add = "for i in {1..600}; do ipvsadm -A -t 10.200.$((i / 200)).$((i % 200)):80; sleep 0.1; done"
    loaded.succeed(f"systemd-run --quiet --collect --unit=adding bash -c {shlex.quote(add)}")
    loaded.machine.wait_until_succeeds("ipvsadm -L -n | grep -q 10.200.0.1:80")
    refused = loaded.execute("ipvsd measure --compare --yes --duration 3s", timeout=LONG_S)
    loaded.succeed("systemctl stop adding")
    assert refused.status == 5 and "services are being added or removed" in refused.stderr
    assert loaded.value() == "0"
    assert_nothing_is_left(loaded)


@THOROUGH
@on("bookworm")
def test_measurements_without_tracefs_root_or_ip_vs(host: Guarded):
    host.succeed(f"ip link set lo up; ip address replace {ADDRESS}/32 dev lo")
    host.load()
    host.wait_for_value("0")
    without = (
        f"unshare --mount bash -c 'mount -t tmpfs none {TRACING}; "
        "umount /sys/kernel/debug/tracing /sys/kernel/debug 2>/dev/null; "
        f"ipvsd measure --duration 3s --ping {ADDRESS} --json'"
    )
    result = host.execute(without)
    document = json.loads(result.stdout)
    assert result.status == 5
    assert "estimation runs: cannot be measured" in document["notes"][0]
    assert document["phases"][0]["passes"] is None
    assert document["phases"][0]["pings"]["count"] > 20
    assert document["namespaces"][0]["estimators"] == 1

    result = host.execute("setpriv --reuid=65534 --clear-groups ipvsd measure --json")
    assert (result.status, result.stderr.count("\n")) == (4, 1)
    assert "measure: needs root" in result.stderr
    assert json.loads(result.stdout)["namespaces"][0]["predicted_usec"] is not None

    host.unload()
    result = host.execute(f"ipvsd measure --duration 3s --ping {ADDRESS} --json")
    document = json.loads(result.stdout)
    assert (result.status, document["module"], document["estimator"]) == (0, "absent", None)
    assert document["phases"][0]["pings"]["count"] > 20
    refused = host.execute("ipvsd measure --compare --yes")
    assert refused.status == 5 and "ip_vs is not loaded" in refused.stderr
    refused = host.execute("ipvsd measure --plot /run/x.svg")
    assert refused.status == 5 and "python3-matplotlib" in refused.stderr
    refused = host.execute("ipvsd measure --ping nowhere.invalid --duration 2s")
    assert refused.status == 5 and "ping nowhere.invalid: " in refused.stderr
