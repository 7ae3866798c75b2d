"""Faults: the values are right soon after each, the journal has its event, and nothing leaks.

`make soak` injects each fault more often, and writes the results to docs/reliability.md. The
faults do not depend on the kernel.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vm.command import PATIENCE_S
from tests.vm.guarded import KEY, SERVICE, Guarded
from tests.vm.product.kernels import THOROUGH, TRIXIE, with_each
from tests.vm.product.setups import FLOOD, RESYNC_1S, TRACING, traces, without
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

# How many times as many faults as in an everyday run.
SCALE = int(os.environ.get("IPVSD_SOAK_SCALE", "1"))
# The file to which each test adds its row, if any.
REPORT = os.environ.get("IPVSD_SOAK_REPORT")

INSTANCE = f"{TRACING}/instances/ipvs-estoff-guard"
RUN_FOLDER = "/run/ipvs-estoff-guard"
METRICS = "/var/lib/prometheus/node-exporter"
DAEMON = "pgrep --parent 1 -f '/usr/share/ipvs-estoff-guard run'"  # without its children
JOURNALD = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service"

# Until a new socket cannot send at all: before that, only the limit of each socket stops it.
FILL_JOURNAL = """
import socket
full = False
while not full:
    sender, sent = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), 0
    sender.setblocking(False)
    try:
        while True:
            sender.sendto(b"MESSAGE=fill\\n", "/run/systemd/journal/socket")
            sent += 1
    except BlockingIOError:
        full = sent == 0
"""


class Faults:
    """Checks after each fault that the state is as before."""

    def __init__(self, host: Guarded, spaces: Spaces) -> None:
        self._host, self._spaces = host, spaces

    @contextmanager
    def injected(self, what: str, times: int = 1, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Check the recovery after its context, in which a test injects the fault."""
        self._spaces.named("bystander")
        before = self._state()
        yield
        ended = time.monotonic()
        self._host.wait_for_value("0")
        self._spaces.wait_for("0", timeout=patience_s)
        seconds = time.monotonic() - ended
        self._host.machine.wait_until_succeeds(f"systemctl is-active {SERVICE}")
        self._spaces.wait_for_kernel_count(before[0])
        assert self._state() == before
        row = {"fault": what, "times": times, "right_after_s": round(seconds, 1)}
        if REPORT:
            row["kernel"] = self._host.kernel()
            with Path(REPORT).open("a") as report:
                report.write(json.dumps(row) + "\n")

    def wait_for_others(self) -> None:
        """Wait until all namespaces but the host's are set."""
        self._spaces.wait_for("0")

    def _state(self) -> tuple[int, int, int]:
        """Count the kernel's namespaces, the guard's trace instances and its processes."""
        # There may be a second probe, as long as the guard watches who else writes.
        instances, _ = traces(self._host)
        return self._spaces.kernel_count(), instances, len(self._host.succeed(DAEMON).split())


@pytest.fixture
def faults(host: Guarded, spaces: Spaces) -> Faults:
    """Load ip_vs on the host, with a check each second."""
    host.configure(RESYNC_1S)
    host.load()
    host.wait_for_value("0")
    return Faults(host, spaces)


# In the host and in the bystander.
SWITCH_ON = f"sysctl -q -w {KEY}=1; ip netns exec bystander sysctl -q -w {KEY}=1"


# The daemon


@THOROUGH
@TRIXIE
def test_killed_again_and_again_in_a_storm_of_loads(
    host: Guarded, faults: Faults, spaces: Spaces, thorough: bool
):
    kills = (10 if thorough else 5) * SCALE
    with faults.injected("SIGKILL in a storm of loads", kills):
        storm = spaces.background("while :; do modprobe ip_vs; sleep 0.1; modprobe -r ip_vs; done")
        host.succeed(
            f"for number in {{1..{kills}}}; do systemctl kill --signal=KILL {SERVICE}; "
            f"until [ $(systemctl show -P NRestarts {SERVICE}) = $number ]; do sleep 0.1; done; "
            f"until systemctl -q is-active {SERVICE}; do sleep 0.1; done; done",
            timeout=60 * kills,
        )
        host.succeed(f"systemctl stop {storm}; modprobe ip_vs")


@THOROUGH
@TRIXIE
def test_stopped_and_continued_as_by_a_suspend(host: Guarded, faults: Faults):
    with faults.injected("SIGSTOP and SIGCONT", 3 * SCALE):
        for _ in range(3 * SCALE):
            host.succeed(
                f"systemctl kill --signal=STOP {SERVICE}; {SWITCH_ON}; "
                f"modprobe -r ip_vs; modprobe ip_vs; {SWITCH_ON}; "
                f"systemctl kill --signal=CONT {SERVICE}"
            )


@TRIXIE
def test_stuck_and_killed_by_the_watchdog(host: Guarded, faults: Faults):
    cursor = host.cursor()
    with faults.injected("SIGSTOP until the watchdog kills", SCALE):
        host.override_unit("[Service]\nWatchdogSec=3s\n")
        for number in range(SCALE):
            host.wait_for_value("0")
            host.succeed(f"systemctl kill --signal=STOP {SERVICE}; {SWITCH_ON}")
            host.machine.wait_until_succeeds(
                f"[ $(systemctl show -P NRestarts {SERVICE}) = {number + 1} ]"
            )
            host.machine.wait_until_succeeds(f"systemctl is-active {SERVICE}")
    said = [str(entry["MESSAGE"]) for entry in host.machine.journal(since_cursor=cursor)]
    timeouts = [message for message in said if f"{SERVICE}.service: Watchdog timeout" in message]
    assert len(timeouts) == SCALE, said


@THOROUGH
@TRIXIE
def test_a_second_daemon_says_so_and_waits(host: Guarded, faults: Faults):
    with faults.injected("a second daemon started", SCALE):
        for _ in range(SCALE):
            second = host.execute("timeout 3 ipvsd run")
            assert second.status == 124  # of timeout, whose signal has ended it
            assert second.stderr.count("\n") == 1
            assert second.stderr.endswith("guards this host; this one waits until it ends\n")
            host.succeed(SWITCH_ON)
    assert host.show("NRestarts") == "0"


@THOROUGH
@TRIXIE
def test_memory_limit(host: Guarded, faults: Faults):
    with faults.injected("memory limit, and the kernel kills"):
        restarts = int(host.show("NRestarts"))
        limit = f"systemctl set-property --runtime {SERVICE} MemoryMax"
        host.succeed(f"{limit}=4M; {SWITCH_ON}")
        host.machine.wait_until_succeeds(
            f"[ $(systemctl show -P NRestarts {SERVICE}) -gt {restarts} ]"
        )
        host.succeed(f"{limit}=infinity")


@THOROUGH
@TRIXIE
def test_too_few_descriptors_for_the_namespaces(host: Guarded, faults: Faults, spaces: Spaces):
    count = min(500 * SCALE, 5000)
    spaces.burst(count)
    patience_s = PATIENCE_S + count / 20  # emulated, and two other machines beside it
    with faults.injected(f"limit of 32 descriptors, {count:,} namespaces", patience_s=patience_s):
        host.override_unit("[Service]\nLimitNOFILE=32\n", patience_s)
        host.unload(patience_s)
        host.load(patience_s)


@THOROUGH
@TRIXIE
def test_too_few_descriptors_to_start_and_enough_later(host: Guarded, faults: Faults):
    with faults.injected("too few descriptors to start (LimitNOFILE=12)"):
        host.drop_in_unit("[Service]\nLimitNOFILE=12\n")
        host.execute(f"systemctl restart --no-block {SERVICE}")
        restarts = f"systemctl show -P NRestarts {SERVICE}"
        host.machine.wait_until_succeeds(f"[ $({restarts}) -ge 2 ]")
        host.drop_in_unit("")
        host.machine.wait_until_succeeds(f"systemctl is-active {SERVICE}")


@THOROUGH
@TRIXIE
def test_the_manager_starts_itself_anew(host: Guarded, faults: Faults):
    pid = host.show("MainPID")
    with faults.injected("systemctl daemon-reexec", SCALE):
        for _ in range(SCALE):
            host.succeed(f"systemctl daemon-reexec; {SWITCH_ON}")
    assert host.show("MainPID") == pid
    host.succeed(f"systemctl reload {SERVICE}")


# The system around the daemon


@THOROUGH
@TRIXIE
def test_the_clock_jumps(host: Guarded, faults: Faults):
    with faults.injected("clock set by a year, and back", 2):
        for years in ("+1 year", "-1 year"):
            host.succeed(f"date -s '{years}'; {SWITCH_ON}")
            host.wait_for_value("0")
            host.succeed(SWITCH_ON)
    assert host.execute("ipvsd status").status == 0


@THOROUGH
@TRIXIE
def test_run_is_full(host: Guarded, faults: Faults):
    cursor = host.cursor()
    with faults.injected("/run full"):
        host.succeed(
            "dd if=/dev/zero of=/run/fill bs=64k; [ $(df --output=avail /run | tail -1) = 0 ]"
        )
        try:
            host.unload()
            host.load()
            host.wait_for_value("0")
            logged, *_ = host.wait_for_events(cursor, "status-file")
            assert "No space left" in logged["MESSAGE"]
        finally:
            host.succeed("rm /run/fill")
        host.succeed(SWITCH_ON)
    host.machine.wait_until_succeeds("ipvsd status --json | grep -q '\"loads\": 2'")


@THOROUGH
@TRIXIE
def test_run_is_read_only(host: Guarded, faults: Faults):
    cursor = host.cursor()
    with faults.injected("run-time folder read-only"):
        host.succeed(f"mount -t tmpfs -o ro none {RUN_FOLDER}")
        try:
            host.succeed(SWITCH_ON)
            host.wait_for_value("0")
            logged, *_ = host.wait_for_events(cursor, "status-file")
            assert "Read-only" in logged["MESSAGE"]
        finally:
            host.succeed(f"umount {RUN_FOLDER}")
        host.succeed(SWITCH_ON)


@THOROUGH
@TRIXIE
def test_journald_stopped_and_started(host: Guarded, faults: Faults):
    with faults.injected("journald stopped and started"):
        host.succeed(f"systemctl stop {JOURNALD}; {SWITCH_ON}")
        host.wait_for_value("0")
        host.succeed(f"systemctl start {JOURNALD}")
        cursor = host.cursor()
        host.succeed(SWITCH_ON)
    host.wait_for_events(cursor, "changed")


@TRIXIE
def test_journald_does_not_read(host: Guarded, faults: Faults):
    """The queue of its socket is full then, and an ordinary writer would wait."""
    cursor = host.cursor()
    pid = host.show("MainPID")
    with faults.injected("journald stuck, its socket full"):
        host.succeed("systemctl kill --signal=STOP systemd-journald")
        host.succeed("python3 -", input=FILL_JOURNAL.encode())
        try:
            for _ in range(3):
                host.succeed(SWITCH_ON)
                host.wait_for_value("0")
        finally:
            host.succeed("systemctl kill --signal=CONT systemd-journald")
        host.succeed(SWITCH_ON)
    assert host.show("MainPID") == pid
    # The events of the time when it did not read are logged too.
    assert len(host.wait_for_events(cursor, "changed", 4)) >= 4


@THOROUGH
@TRIXIE
def test_sysctls_are_read_only(host: Guarded, faults: Faults):
    cursor = host.cursor()
    with faults.injected("/proc/sys read-only"):
        enter = f"nsenter --mount --target {host.show('MainPID')} mount -o remount,bind"
        host.succeed(f"{enter},ro /proc/sys/net; {SWITCH_ON}")
        (logged,) = host.wait_for_events(cursor, "not-changed")
        assert "Read-only file system" in logged["MESSAGE"] and logged["IPVSD_NAMESPACE"] == "host"
        assert host.value() == "1"
        faults.wait_for_others()  # through the guard's own procfs, which is no mount
        host.succeed(f"{enter},rw /proc/sys/net")


@THOROUGH
@TRIXIE
@pytest.mark.parametrize("how, options", [("read-only", "ro"), ("full", "size=4k")])
def test_the_folder_of_the_metrics(host: Guarded, faults: Faults, how: str, options: str):
    cursor = host.cursor()
    with faults.injected(f"/var {how}"):
        host.succeed(f"mkdir -p {METRICS}; mount -t tmpfs -o {options} none {METRICS}")
        try:
            host.execute(f"dd if=/dev/zero of={METRICS}/fill bs=4k")
            # The unit's mount namespace is made at its start.
            host.succeed(f"systemctl restart {SERVICE}")
            host.configure(f"{RESYNC_1S}[metrics]\ntextfile = {METRICS}/ipvsd.prom\n")
            host.succeed(SWITCH_ON)
            host.wait_for_value("0")
            logged, *_ = host.wait_for_events(cursor, "status-file")
            assert "continues without metrics" in logged["MESSAGE"]
        finally:
            host.configure(RESYNC_1S)
            host.succeed(f"systemctl stop {SERVICE}; umount {METRICS}; systemctl start {SERVICE}")
        host.succeed(SWITCH_ON)


# The daemon's event sources


@TRIXIE
def test_udevd_killed_and_stopped(host: Guarded, faults: Faults):
    stop = "systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service"
    reload = "modprobe -r ip_vs; modprobe ip_vs"
    with faults.injected("udevd killed, and stopped", 2 * SCALE):
        for _ in range(SCALE):
            host.succeed(f"systemctl kill --signal=KILL systemd-udevd; {reload}")
            host.wait_for_value("0")
            host.succeed(f"systemctl stop {stop}; {reload}")
            host.wait_for_value("0")
            host.succeed(f"systemctl reset-failed {stop}; systemctl start {stop}")  # so often


@THOROUGH
@TRIXIE
def test_uevents_overflow(host: Guarded, faults: Faults):
    """More than the socket of a guard without CAP_NET_ADMIN holds while it does not read."""
    cursor = host.cursor()
    with faults.injected("uevents overflow", SCALE):
        without(host, "CAP_NET_ADMIN")
        for number in range(SCALE):
            # A further overflow counts only after the one before was reported.
            host.wait_for_events(cursor, "events-lost", number)
            host.wait_for_value("0")
            host.succeed(
                f"systemctl kill --signal=STOP {SERVICE}; {FLOOD}; "
                f"modprobe -r ip_vs; modprobe ip_vs; systemctl kill --signal=CONT {SERVICE}"
            )
    lost = host.wait_for_events(cursor, "events-lost", SCALE)
    assert all("No buffer space" in entry["MESSAGE"] for entry in lost)
    counters = host.status()["daemon"]["counters"]
    assert counters["events_lost"] == len(lost) == SCALE
    # The first load was seen by the guard before the restart, whose counters go on.
    assert counters["loads"] == 1 + SCALE and not host.events(cursor, "contested")


@TRIXIE
@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("trace instance switched off", f"echo 0 >{INSTANCE}/tracing_on"),
        (
            "list of probes cleared",
            f"echo 0 >{INSTANCE}/events/enable; echo >{TRACING}/kprobe_events",
        ),
    ],
    ids=["switched off", "cleared"],
)
def test_the_probe_is_silenced(
    host: Guarded, faults: Faults, spaces: Spaces, what: str, command: str
):
    cursor = host.cursor()
    with faults.injected(what, SCALE):
        for number in range(SCALE):
            host.succeed(f"{command}; {SWITCH_ON}")
            host.wait_for_events(cursor, "source-back", number + 1)
            spaces.wait_for("0", spaces.process())
        spaces.clear()
        spaces.named("bystander")


@THOROUGH
@TRIXIE
def test_the_trace_instance_is_removed(host: Guarded, faults: Faults, spaces: Spaces):
    """The kernel refuses the removal while the guard reads from the instance."""
    with faults.injected("trace instance removed (refused: it is in use)"):
        host.fail(f"rmdir {INSTANCE}")
        host.succeed(SWITCH_ON)
        spaces.wait_for("0", spaces.process())
        spaces.clear()
        spaces.named("bystander")


@TRIXIE
def test_tracefs_is_unmounted(host: Guarded, faults: Faults, spaces: Spaces):
    """Births are not reported any more, but found; after a restart they are reported again."""
    cursor = host.cursor()
    umount = f"nsenter --mount --target {host.show('MainPID')} umount --lazy"
    with faults.injected("tracefs unmounted"):
        host.succeed(
            f"for folder in {TRACING} /sys/kernel/debug/tracing; do "
            f"while {umount} $folder 2>/dev/null; do :; done; done; {SWITCH_ON}"
        )
        lost = host.wait_for_events(cursor, "source-lost")
        assert "births of namespaces" in lost[0]["MESSAGE"]
        spaces.wait_for("0", spaces.process())
        host.succeed(f"systemctl restart {SERVICE}")
        assert host.status()["daemon"]["sources"]["births"] == "on"
        host.succeed(SWITCH_ON)
        spaces.clear()
        spaces.named("bystander")


@TRIXIE
def test_loads_back_to_back(host: Guarded, faults: Faults, thorough: bool):
    times = (100 if thorough else 30) * SCALE
    with faults.injected("ip_vs removed and loaded, back to back", times):
        host.succeed(
            f"for number in {{1..{times}}}; do modprobe -r ip_vs; modprobe ip_vs; done",
            timeout=60 * times,
        )
    assert host.status()["daemon"]["counters"]["failures"] == 0


@TRIXIE
def test_the_module_goes_in_the_middle_of_a_sweep(host: Guarded, faults: Faults, spaces: Spaces):
    spaces.burst(100)
    cursor = host.cursor()
    times = 10 * SCALE
    with faults.injected("ip_vs removed while 100 namespaces are being set", times):
        host.succeed(
            f"for number in {{1..{times}}}; do modprobe -r ip_vs; modprobe ip_vs; done",
            timeout=60 * times,
        )
    assert host.events(cursor, "pass-failed") == []
    assert host.status()["daemon"]["counters"]["failures"] == 0


@TRIXIE
@with_each("errno", ["EPERM", "EINVAL", "ENOMEM", "EBADF", "ENOENT"])
def test_namespaces_that_cannot_be_entered(
    host: Guarded, faults: Faults, errno: str, spaces: Spaces
):
    cursor = host.cursor()
    with faults.injected(f"setns fails with {errno}"):
        tracer = spaces.background(
            f"strace --follow-forks --attach={host.show('MainPID')} --output=/dev/null "
            f"--trace=setns --inject=setns:error={errno}"
        )
        host.machine.wait_until_succeeds(
            f"grep -q '^TracerPid:.*[1-9]' /proc/{host.show('MainPID')}/status"
        )
        host.unload()
        host.load()
        host.wait_for_value("0")
        host.wait_for_events(cursor, "changed")
        assert host.show("ActiveState") == "active"
        host.succeed(f"systemctl stop {tracer}")
