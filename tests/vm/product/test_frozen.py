"""A file system that is frozen, as for a snapshot of its disk: it stops only its own file."""

import time

import pytest

from tests.vm.command import PATIENCE_S
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.product.kernels import on
from tests.vm.product.setups import RESYNC_1S

pytestmark = pytest.mark.vm

FOLDER = "/var/lib/prometheus/node-exporter"
TEXTFILE = f"{FOLDER}/guard.prom"
WRITER = "ipvsd-textfile"


@pytest.fixture
def frozen(host: Guarded):
    """Mount the spare disk where the textfile lies, and freeze it."""
    host.succeed(f"mkdir -p {FOLDER} && mount /dev/vdb {FOLDER}")
    host.configure(f"{RESYNC_1S}[metrics]\ntextfile = {TEXTFILE}\n")
    host.succeed(f"systemctl restart {SERVICE}")
    host.machine.wait_until_succeeds(f"test -s {TEXTFILE}")
    host.succeed(f"fsfreeze --freeze {FOLDER}")
    yield
    host.execute(f"fsfreeze --unfreeze {FOLDER}")
    host.fresh()
    host.succeed(f"umount {FOLDER}")


@on("bookworm")
@pytest.mark.usefixtures("frozen")
def test_a_frozen_file_system_stops_neither_corrections_nor_the_service(host: Guarded) -> None:
    cursor = host.cursor()
    host.load()
    host.wait_for_value("0")
    host.set("1")
    host.wait_for_value("0")
    (event,) = host.wait_for_events(cursor, "status-file")
    assert event["MESSAGE"].startswith(f"{TEXTFILE}: not written, no answer for ")
    assert f"{TEXTFILE} not written for " in host.show("StatusText")
    assert host.status()["daemon"]["counters"]["loads"] == 1
    assert len(host.events(cursor, "status-file")) == 1

    began = time.monotonic()
    host.succeed(f"systemctl stop {SERVICE}", timeout=PATIENCE_S)
    assert time.monotonic() - began < 10, "systemd waits for no child in the frozen file system"
    assert host.show("Result") == "success"
    host.succeed(f"pgrep -x {WRITER}", timeout=PATIENCE_S)
    host.set("1")
    host.succeed(f"systemctl start {SERVICE}", timeout=PATIENCE_S)
    assert host.value() == "0"
    assert host.status()["running"] is True

    host.succeed(f"fsfreeze --unfreeze {FOLDER}")
    host.machine.wait_until_succeeds(f"grep -q 'writes_total.reason=\"start\". 1' {TEXTFILE}")
    host.machine.wait_until_succeeds(f"[ $(pgrep -cx {WRITER}) = 1 ]")
    text = f"systemctl show --property=StatusText {SERVICE}"
    host.machine.wait_until_succeeds(f"! {text} | grep 'not written'")
    host.succeed(f"systemctl stop {SERVICE}")
    host.fail(f"test -e {TEXTFILE}")
