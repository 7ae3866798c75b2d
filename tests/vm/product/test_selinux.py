"""The guard under SELinux, enforcing, with Debian's policy, which is the reference policy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import images
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import KEY, SERVICE, Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.spaces import Spaces

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("selinux")]

# Tests run as an administrator; without this the harness's agent would run as a service.
AGENT_DROP_IN = "/etc/systemd/system/harness-agent.service.d/administrator.conf"
ADMINISTRATOR = b"[Service]\nSELinuxContext=unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\n"
# rpm's own plugin wants its scriptlets to run as a type that is in Fedora's policy only.
RPM_MACRO = "%__transaction_selinux %{nil}"
# Images are built by any user, and so without labels.
LABEL = """
setfiles -F /etc/selinux/default/contexts/files/file_contexts /
restorecon -RF /run /dev
systemctl daemon-reexec
"""
# The context of services without a policy of their own; in Fedora it is unconfined_service_t.
CONTEXT = "system_u:system_r:initrc_t:s0"
DENY_WRITES = b"(deny initrc_t sysctl_net_t (file (write)))\n"


@pytest.fixture(scope="module")
def host(repo: Path) -> Iterator[Guarded]:
    """Start a machine that enforces SELinux, with the package installed and running."""
    with Machine(images.build(images.SELINUX_SUITE), security="selinux") as machine:
        machine.succeed(f"install -D /dev/stdin {AGENT_DROP_IN}", input=ADMINISTRATOR)
        machine.succeed(LABEL)
        machine.soft_reboot()
        machine.succeed(f"setenforce 1; echo '{RPM_MACRO}' >/etc/rpm/macros.selinux")
        host = Guarded(machine)
        host.install(repo)
        yield host


def security(host: Guarded) -> str:
    """Return the findings of `ipvsd doctor` about security."""
    shown = host.execute("ipvsd doctor --json").stdout
    findings = [one for one in json.loads(shown)["findings"] if one["topic"] == "security"]
    return "\n".join(json.dumps(one) for one in findings)


def test_the_guard_needs_no_policy(host: Guarded):
    spaces = Spaces(host.machine)
    host.configure("[sysctl]\nnet.ipv4.vs.conntrack = 0\n")
    host.load()
    host.wait_for_value("0")
    born = spaces.named("born")
    host.wait_for_state(born, "off")
    host.set("1", "conntrack")
    host.wait_for_value("0", "conntrack")
    host.succeed(f"systemctl restart {SERVICE}; ipvsd measure --duration 5s; ipvsd history")
    spaces.clear()

    context = host.succeed(f"cat /proc/{host.show('MainPID')}/attr/current").rstrip("\0\n ")
    assert (context, host.succeed("getenforce")) == (CONTEXT, "Enforcing\n")
    assert host.status()["daemon"]["counters"]["failures"] == 0
    denied = host.succeed("dmesg").splitlines()
    assert not [line for line in denied if "denied" in line and f"scontext={CONTEXT}" in line]
    assert "no denial found (SELinux enforcing" in security(host)


def test_a_write_that_the_policy_denies_is_logged_and_made_later(host: Guarded):
    host.succeed("cat >/root/deny.cil && semodule -i /root/deny.cil", input=DENY_WRITES)
    cursor = host.machine.journal_cursor()
    host.unload()
    host.load()
    (entry,) = host.wait_for_events(cursor, "not-changed")
    assert f"{KEY} in host" in entry["MESSAGE"] and "Permission denied" in entry["MESSAGE"]
    in_journal = "journalctl --dmesg --quiet --grep 'denied.*run_estimation'"
    host.machine.wait_until_succeeds(in_journal, timeout=PATIENCE_S)
    assert "denied since boot" in security(host)

    host.succeed("semodule -r deny")
    host.wait_for_value("0")
