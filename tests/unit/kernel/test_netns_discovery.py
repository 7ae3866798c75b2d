"""The network namespace of this process, with nsfs and without."""

import os

from ipvsd.kernel import netns_discovery
from ipvsd.model import Namespace


def test_the_own_namespace_is_the_nsfs_file():
    status = os.stat("/proc/self/ns/net")
    assert netns_discovery.own() == Namespace(status.st_dev, status.st_ino, "host")


def test_without_nsfs_there_is_one_namespace(root):
    assert netns_discovery.own(root.path) == Namespace(0, 0, "host")


def _member(root, pid, cgroup):
    root.write(f"proc/{pid}/ns/net", "")
    root.write(f"proc/{pid}/cgroup", f"0::{cgroup}\n")
    root.write(f"proc/{pid}/comm", "pause\n")
    status = os.stat(root.join(f"proc/{pid}/ns/net"))
    finder = netns_discovery.NamespaceFinder(root.path)
    identity = (status.st_dev, status.st_ino)
    holder = netns_discovery.Holder(root.join(f"proc/{pid}/ns/net"), pid)
    return finder, finder.describe(identity, [holder])


def test_a_namespace_is_described_again_as_its_member_is_now(root):
    finder, before = _member(root, 7, "/system.slice/a.service")
    root.write("proc/7/cgroup", "0::/system.slice/b.service\n")
    now = finder.described_again(before)
    assert (before.owner.unit, now.owner.unit) == ("a.service", "b.service")
    assert now.identity == before.identity


def test_a_member_that_leaves_a_container_leaves_its_name(root):
    finder, before = _member(root, 7, "/lxc.payload.web")
    root.write("proc/7/cgroup", "0::/system.slice/b.service\n")
    assert (before.name, finder.described_again(before).name) == ("lxc web", "b.service")


def test_a_member_that_has_ended_or_left_tells_nothing(root):
    finder, before = _member(root, 7, "/system.slice/a.service")
    root.write("proc/7/cgroup", "0::/system.slice/b.service\n")
    os.unlink(root.join("proc/7/ns/net"))
    assert finder.described_again(before) == before
    root.write("proc/7/ns/other", "")
    os.rename(root.join("proc/7/ns/other"), root.join("proc/7/ns/net"))
    changed = before._replace(inode=before.inode + 1)
    assert finder.described_again(changed) == changed
