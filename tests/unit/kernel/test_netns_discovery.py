"""The network namespace of this process, with nsfs and without."""

import os

from ipvsd.kernel import netns_discovery
from ipvsd.model import Namespace


def test_the_own_namespace_is_the_nsfs_file():
    status = os.stat("/proc/self/ns/net")
    assert netns_discovery.own() == Namespace(status.st_dev, status.st_ino, "host")


def test_without_nsfs_there_is_one_namespace(root):
    assert netns_discovery.own(root.path) == Namespace(0, 0, "host")
