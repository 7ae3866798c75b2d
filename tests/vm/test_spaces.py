"""Spaces itself: each kind of namespace has only its holder, and clear() removes all."""

from collections.abc import Callable, Iterator

import pytest

from .guarded import SERVICE
from .machine import Machine
from .spaces import FOREIGN_VALUE, Spaces

pytestmark = [
    pytest.mark.vm,
    pytest.mark.parametrize(
        "spaces",
        [pytest.param(s, marks=pytest.mark.xdist_group(s)) for s in ("bookworm",)],
        indirect=True,
    ),
]


@pytest.fixture
def spaces(
    request: pytest.FixtureRequest, machine_for: Callable[[str], Machine]
) -> Iterator[Spaces]:
    """Make Spaces on the machine of a suite with ip_vs; check that a test leaves nothing."""
    machine = machine_for(request.param)
    # The guard, which other tests may have installed, would change the values.
    machine.succeed(f"systemctl stop {SERVICE} 2>/dev/null; modprobe ip_vs")
    spaces = Spaces(machine)
    before = spaces.kernel_count()
    yield spaces
    spaces.clear()
    spaces.wait_for_kernel_count(before)
    assert machine.execute("find /run/netns /run/docker -mindepth 1").stdout == ""


def test_each_kind_has_only_its_own_holder(spaces: Spaces):
    before = spaces.kernel_count()
    kinds = spaces.every_kind()
    holders = spaces.holders()
    held = {kind: holders[inode] for kind, inode in kinds.items()}
    # `ip netns` mounts its folder on itself, so that each mount is there twice.
    named = held.pop("named")
    assert named.keys() == {"mounts"}
    assert held == {
        "process": {"processes": 1},
        "mounted elsewhere": {"mounts": 1},
        "private mount": {"private mounts": 1},
        "descriptor": {"descriptors": 1},
        "thread": {"threads": 1},
    }
    assert spaces.kernel_count() == before + len(kinds)


def test_a_user_owned_namespace_belongs_to_another_user(spaces: Spaces):
    inode = spaces.user_owned()
    assert spaces.holders() == {inode: {"processes": 1}}
    process = spaces.paths[inode].removesuffix("/ns/net")
    spaces.machine.fail(f"[ {process}/ns/user -ef /proc/self/ns/user ]")
    assert spaces.machine.succeed(f"ps -o user= {process.removeprefix('/proc/')}") == "tester\n"
    assert spaces.values() == {inode: FOREIGN_VALUE[spaces.machine.image.suite]}


def test_containers_of_root_and_of_another_user(spaces: Spaces):
    bridge = spaces.podman_rootful()
    none = spaces.podman_rootful("none")
    rootless = spaces.podman_rootless()
    foreign_value = FOREIGN_VALUE[spaces.machine.image.suite]
    assert spaces.values() == {bridge: "1", none: "1", rootless: foreign_value}
    holders = spaces.holders()
    assert holders[bridge].keys() == {"processes", "mounts"}
    assert holders[none] == {"processes": 1}
    assert holders[rootless].keys() - {"private mounts"} == {"processes"}
    for inode, container in spaces.containers.items():
        cgroup = spaces.machine.succeed(f"cat {spaces.paths[inode].replace('ns/net', 'cgroup')}")
        assert container in cgroup
    assert len(set(spaces.containers.values())) == 3


def test_values_are_read_and_changed_from_inside(spaces: Spaces):
    one, other = spaces.descriptor(), spaces.named("one")
    spaces.set(one, "0")
    assert spaces.values() == {one: "0", other: "1"}
    spaces.set_through_another_proc(other, "0")
    assert spaces.value(other) == "0"
    spaces.wait_for("0")
    with pytest.raises(AssertionError, match=str(one)):
        spaces.wait_for("1", one, timeout=0)


def test_a_name_can_be_removed_and_made_again_with_the_same_number(spaces: Spaces):
    inode, old = spaces.named("again"), 0
    while inode != old:
        spaces.set(inode, "0")
        old, inode = inode, spaces.replace_named("again")
    assert spaces.value(inode) == "1"  # another namespace
    spaces.delete_named("again")
    assert spaces.values() == {}


def test_a_plain_file_is_no_namespace(spaces: Spaces):
    spaces.not_a_mount("plain")
    assert spaces.machine.succeed("stat -c '%F' /run/netns/plain") == "regular empty file\n"
    assert "plain" not in spaces.machine.succeed("cat /proc/self/mountinfo")
    assert spaces.values() == {}


def test_many_namespaces_at_once_and_one_after_another(spaces: Spaces):
    before = spaces.kernel_count()
    inodes = spaces.burst(50)
    assert len(set(inodes)) == 50 and set(spaces.values()) == set(inodes)
    assert spaces.kernel_count() == before + 50
    spaces.churn(50)
    spaces.wait_for_kernel_count(before + 50)


def test_clear_ends_a_command_in_the_background(spaces: Spaces):
    unit = spaces.background("while :; do sleep 1; done")
    assert spaces.machine.succeed(f"systemctl is-active {unit}") == "active\n"
    spaces.clear()
    spaces.machine.fail(f"systemctl is-active {unit}")
