"""The Ansible role and its playbooks, over SSH, from this machine to a virtual one."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet_page import commands
from tests.vm import images
from tests.vm.command import PATIENCE_S
from tests.vm.guarded import SERVICE, Guarded
from tests.vm.machine import Machine
from tests.vm.product.kernels import THOROUGH
from tests.vm.repository import GUEST_FOLDER, HOME

pytestmark = [pytest.mark.vm, THOROUGH, pytest.mark.xdist_group("ansible")]

PLAYBOOKS = HOME / "deploy" / "ansible"
HOOK_FILE = "/etc/modprobe.d/old.conf"
HOOK = (
    b"install ip_vs /sbin/modprobe --ignore-install ip_vs && "
    b"sysctl -w net.ipv4.vs.run_estimation=0\n"
)
# The address that QEMU gives a guest.
NETWORK = """
set -e
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
systemctl start ssh
"""
INVENTORY = """
[all]
lb1 ansible_host=127.0.0.1 ansible_port={port} ansible_user=root
[all:vars]
ansible_ssh_private_key_file={key}
ansible_ssh_common_args=-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
ansible_python_interpreter=/usr/bin/python3
ipvs_estoff_guard_repo_url=file://{repo}
ipvs_estoff_guard_package_manager=dnf
"""
# A host that does not answer, and one without the package.
OTHERS = """
[more]
down ansible_host=127.0.0.1 ansible_port=1 ansible_user=root
bare ansible_connection=local ansible_become=false
[all:vars]
ansible_ssh_private_key_file=/nowhere
"""


class Ansible:
    """Ansible on this machine, for one host in a virtual one."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.inventory = INVENTORY.format(port=port, key=self.key, repo=GUEST_FOLDER)
        (folder / "hosts.ini").write_text(self.inventory)

    def environment(self) -> dict[str, str]:
        """Return the environment of Ansible's programs."""
        programs = Path(sys.executable).parent
        return {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ANSIBLE_HOME": str(self._folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_TIMEOUT": str(PATIENCE_S),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        }

    def play(self, book: str, *words: str, more: str = "", code: int = 0) -> str:
        """Run a playbook and return what it printed."""
        (self._folder / "more.ini").write_text(more)
        inventories = ["--inventory", self._folder / "hosts.ini"]
        inventories += ["--inventory", self._folder / "more.ini"] if more else []
        done = subprocess.run(
            ["ansible-playbook", *inventories, PLAYBOOKS / book, *words],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def changes(self, book: str) -> int:
        """Run a playbook and return the number of tasks that changed something."""
        output = self.play(book)
        (found,) = re.findall(r"(?m)^lb1 +:.* changed=(\d+)", output)
        return int(found)


@pytest.fixture(scope="module")
def both(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guarded, Ansible]]:
    """Start a machine with SSH, an old hook, and the repository, but without the package."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ansible = Ansible(tmp_path_factory.mktemp("ansible"), port)
    image = images.build("trixie", "openssh-server")
    with Machine(image, ssh_port=port) as machine:
        machine.copy_in(repo, GUEST_FOLDER)
        machine.succeed("mkdir -p /etc/yum.repos.d")  # Debian's dnf lacks it
        machine.succeed(f"cat >{HOOK_FILE}", input=HOOK)
        public = ansible.key.with_suffix(".pub").read_bytes()
        machine.succeed("install -D -m 600 /dev/stdin /root/.ssh/authorized_keys", input=public)
        machine.wait_until_succeeds("ls -d /sys/class/net/eth0")
        machine.succeed(NETWORK)
        yield Guarded(machine), ansible


def test_observe_installs_a_guard_that_writes_nothing_and_a_second_run_changes_nothing(both):
    host, ansible = both
    assert ansible.changes("observe.yml") > 0
    host.succeed(f"systemctl is-enabled {SERVICE}; systemctl is-active {SERVICE}")
    assert host.status()["daemon"]["mode"] == "observe"
    assert "install ip_vs" in host.succeed(f"grep -v '^#' {HOOK_FILE}")
    assert ansible.changes("observe.yml") == 0


def test_enforce_sets_the_value_and_removes_the_hook_and_a_second_run_changes_nothing(both):
    host, ansible = both
    assert ansible.changes("enforce.yml") > 0
    host.fail(f"grep -v '^#' {HOOK_FILE} | grep install")
    host.load()
    host.wait_for_value("0")
    assert ansible.changes("enforce.yml") == 0
    # Nor does a later run of the first playbook take anything back.
    assert ansible.changes("observe.yml") == 0
    assert host.status()["daemon"]["mode"] == "enforce"


def test_a_wrong_configuration_is_refused_before_it_is_in_its_place(both):
    host, ansible = both
    before = host.succeed("cat /etc/ipvs-estoff-guard/conf.d/50-ansible.conf")
    wrong = json.dumps({"ipvs_estoff_guard_config": {"guard": {"resync": "never"}}})
    output = ansible.play("enforce.yml", "--extra-vars", wrong, code=2)
    assert "resync = never: is not a duration" in output
    assert host.succeed("cat /etc/ipvs-estoff-guard/conf.d/50-ansible.conf") == before


def test_the_table_has_all_hosts_the_worst_first(both):
    host, ansible = both
    shown = ansible.play("check.yml", more=OTHERS)
    rows = re.findall(r"(?m)^ +- '?(\w+) +(unknown|NOT OFF|off|nothing to do) +(.*)$", shown)
    assert [row[:2] for row in rows] == [("down", "unknown"), ("bare", "unknown"), ("lb1", "off")]
    assert rows[0][2].startswith("the host does not answer")
    host.succeed(f"systemctl stop {SERVICE}")
    host.set("1")
    shown = ansible.play("check.yml")
    assert re.search(r"(?m)^ +- '?lb1 +NOT OFF +.*run_estimation", shown), shown
    host.succeed(f"systemctl start {SERVICE}", timeout=PATIENCE_S)


def test_the_commands_of_the_page(both, tmp_path: Path):
    host, ansible = both
    shutil.copytree(PLAYBOOKS, tmp_path / "deploy" / "ansible")
    (tmp_path / "deploy" / "ansible" / "inventory.ini").write_text(ansible.inventory)
    shown = commands("Ansible", prompt="$")
    assert shown[0] == "pip install ansible-core" and len(shown) == 8
    subprocess.run(
        ["bash", "-ec", "\n".join(shown[1:])], cwd=tmp_path, env=ansible.environment(), check=True
    )
    assert host.status()["daemon"]["mode"] == "enforce"
