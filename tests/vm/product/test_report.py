"""`ipvsd report` on a guarded host, and what `sos report` collects of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import images
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import ANY_KERNEL, THOROUGH
from tests.vm.spaces import Spaces

pytestmark = pytest.mark.vm

PATH = "/tmp/report.txt"


@ANY_KERNEL
def test_the_report_has_what_support_asks_for(host: Guarded, spaces: Spaces):
    host.load()
    host.wait_for_value("0")
    spaces.named("web")
    host.succeed("ipvsadm --add-service --tcp-service 192.0.2.7:80")
    assert host.succeed(f"ipvsd report {PATH}; stat --format=%a {PATH}").endswith("600\n")
    text = host.succeed(f"cat {PATH}")
    titles = re.findall(r"(?m)^== (.*)$", text)
    # All that was asked for answered; systemctl and journalctl know the service.
    assert not [title for title in titles if "did not end" in title or "exit code" in title]
    assert "proc/sys/net/ipv4/vs/run_estimation: 0" in text
    assert re.search(r"(?m)^web .*off", text)
    assert "Active: active (running)" in text and "ExecStart=" in text
    assert "was 1, now 0 (ip_vs was loaded" in text
    assert "192.0.2.7" not in text


@pytest.fixture
def sos(repo: Path) -> Iterator[Guarded]:
    """Start a machine with the package and with sos."""
    with Machine(images.build("trixie", "sosreport")) as machine:
        host = Guarded(machine)
        host.install(repo)
        yield host


@THOROUGH
@pytest.mark.xdist_group("sos")
def test_sos_collects_the_report_and_loads_no_module(sos: Guarded):
    sos.succeed("sos report --batch --only-plugins=sos_extras --tmp-dir=/root --build")
    collected = sos.succeed(
        "cat /root/sosreport-*/sos_commands/sos_extras/ipvs-estoff-guard/ipvsd_report*"
    )
    assert "== ipvsd doctor" in collected and "== files" in collected
    sos.fail("test -e /sys/module/ip_vs")
