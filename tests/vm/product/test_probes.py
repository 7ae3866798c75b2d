"""kprobes that are set and cannot fire, as on hosts where a guide has switched ftrace off."""

import json
from collections.abc import Iterator

import pytest

from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import BOOKWORM, THOROUGH, on
from tests.vm.product.setups import FIRST_ESTIMATION_USEC, RESYNC_1S, TRACING, traces
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

# What keeps all kprobes of the host from firing, and what the guard calls it.
SWITCHES = {
    "/proc/sys/kernel/ftrace_enabled": "kernel.ftrace_enabled: is 0",
    "/sys/kernel/debug/kprobes/enabled": "/sys/kernel/debug/kprobes/enabled: is 0",
}
# The kernel's own reports of probes that were removed at the wrong moment.
DAMAGE = "ftrace_shutdown|Failed to disarm|Oops|soft lockup|BUG:"


@pytest.fixture(params=SWITCHES, ids=["ftrace", "kprobes"])
def switch(host: Guarded, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the file of a switch, and set it to 1 after the test."""
    path = str(request.param)
    host.succeed("mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug")
    yield path
    host.succeed(f"echo 1 >{path}")


def births(host: Guarded) -> str:
    """Return the state of the source."""
    return str(host.status()["daemon"]["sources"]["births"])


@BOOKWORM
def test_probes_that_stop_firing_are_not_believed(host: Guarded, spaces: Spaces, switch: str):
    host.configure(RESYNC_1S)
    host.load()
    host.wait_for_value("0")
    host.serve_many(20, 1)
    cursor = host.cursor()
    host.succeed(f"echo 0 >{switch}")
    (lost,) = host.wait_for_events(cursor, "source-lost")
    assert SWITCHES[switch] in lost["MESSAGE"]
    assert births(host).startswith(SWITCHES[switch])
    inode = spaces.process()  # no event reports it
    spaces.wait_for("0")
    assert host.exposure(inode)["passes"] == 0

    verified = host.execute("ipvsd verify --json")
    document = json.loads(verified.stdout)
    assert (verified.status, document["passes"]) == (0, None)
    assert document["namespaces"][0]["passes"] is None
    assert "not counted" in host.execute("ipvsd verify").stdout
    measured = host.execute("ipvsd measure --duration 3s --json")
    document = json.loads(measured.stdout)
    assert (measured.status, document["phases"][0]["passes"]) == (5, None)
    assert SWITCHES[switch].split(":")[0] in document["notes"][0]
    report = host.execute("ipvsd measure --duration 3s").stdout
    assert "did any work" not in report and "not the cause" not in report

    host.succeed(f"echo 1 >{switch}")
    host.wait_for_events(cursor, "source-back")
    assert births(host) == "on" and traces(host) == (1, 1)
    assert len(host.events(cursor, "source-lost", "source-back")) == 2
    host.stop_serving()


@THOROUGH
@BOOKWORM
def test_runs_are_unknown_when_the_switch_is_turned_meanwhile(host: Guarded, spaces: Spaces):
    switch = "/proc/sys/kernel/ftrace_enabled"
    host.load()
    host.wait_for_value("0")
    for command, passes in (
        ("ipvsd verify --json", lambda document: document["passes"]),
        ("ipvsd measure --duration 4s --json", lambda document: document["phases"][0]["passes"]),
    ):
        unit = spaces.background(f"{command} >/run/result; echo done >>/run/result")
        enabled = f"{TRACING}/instances/ipvsd-measure-*/events/ipvsd_measure/begin_*/enable"
        host.machine.wait_until_succeeds(f"grep -q 1 {enabled}")
        host.succeed(f"echo 0 >{switch}")
        host.machine.wait_until_succeeds("grep -q done /run/result", timeout=60)
        left = host.succeed(f"ls {TRACING}/instances").split()
        host.succeed(f"echo 1 >{switch}; systemctl reset-failed {unit} 2>/dev/null; true")
        assert any(name.startswith("ipvsd-measure-") for name in left), left
        text = host.succeed("sed '$d' /run/result")
        assert passes(json.loads(text)) is None
    host.succeed("ipvsd verify")  # removes what the others had to leave
    assert traces(host) == (1, 1)
    assert_kernel_is_sound(host)


@THOROUGH
@on("bookworm")
def test_nothing_is_removed_while_ftrace_is_off_and_the_next_start_does_it(
    host: Guarded, spaces: Spaces
):
    """Removing a probe then, and another one later, breaks the kernel of Debian 12."""
    switch = "/proc/sys/kernel/ftrace_enabled"
    host.load()
    host.wait_for_value("0")
    cursor = host.cursor()
    host.succeed(f"echo 0 >{switch}")
    host.execute("ipvsd verify")
    host.succeed(f"systemctl stop {SERVICE}")
    assert traces(host) == (1, 1)
    # The first may be that no probe fires, which is noticed within 5 s.
    left = host.events(cursor, "source-lost")[-1]
    assert f"{TRACING}/instances/ipvs-estoff-guard: its kprobes stay set" in left["MESSAGE"]

    host.succeed(f"systemctl start {SERVICE}")
    assert births(host).startswith("kernel.ftrace_enabled: is 0")
    inode = spaces.process()
    spaces.wait_for("0")
    assert host.exposure(inode)["passes"] == 0

    host.succeed(f"systemctl stop {SERVICE}; echo 1 >{switch}; systemctl start {SERVICE}")
    assert births(host) == "on" and traces(host) == (1, 1)
    spaces.process()
    spaces.wait_for("0")
    host.succeed(f"systemctl stop {SERVICE}")
    assert traces(host) == (0, 0)
    for _ in range(2):
        host.succeed(f"systemctl restart {SERVICE}")
    assert births(host) == "on"
    assert_kernel_is_sound(host)


@BOOKWORM
def test_a_probe_that_does_not_report_the_canary_is_not_believed_until_it_does(host: Guarded):
    host.load()
    host.wait_for_value("0")
    host.machine.wait_until_succeeds("ipvsd status --json | grep -q fixed_usec")
    assert births(host) == "on"
    cursor = host.cursor()
    filtered = f"{TRACING}/instances/ipvs-estoff-guard/events/ipvsd/birth/filter"
    before = host.succeed(f"cat {filtered}").strip()
    host.succeed(f"echo 'common_pid == 0' >{filtered}")  # the probe fires, and reports nothing
    another_canary(host)
    (lost,) = host.wait_for_events(cursor, "source-lost")
    assert "the birth of the canary was not reported" in lost["MESSAGE"]
    host.machine.wait_until_succeeds("ipvsd status --json | grep -q fixed_usec")
    canary = host.status()["daemon"]["canary"]
    assert canary["error"] is None and canary["fixed_usec"] < FIRST_ESTIMATION_USEC
    assert births(host) == lost["MESSAGE"].split("(")[1].split(")")[0]
    host.succeed(f"echo '{before}' >{filtered}")
    host.wait_for_events(cursor, "source-back")  # the next canary comes after half a minute
    assert births(host) == "on"


def another_canary(host: Guarded) -> None:
    """Have the guard make a canary now."""
    host.configure("[guard]\ncanary = off\n")
    host.configure("[guard]\ncanary = 1h\n")


def assert_kernel_is_sound(host: Guarded) -> None:
    """Assert that the kernel has not reported a defect since the test began."""
    assert host.execute(f"dmesg | grep -E '{DAMAGE}'").stdout == ""
