"""Symbolic links that name namespaces: where their texts lead, without following any."""

import os

import pytest

from ipvsd.kernel.netns_links import Links

MOUNT = "/run/docker/netns/x"


def links(root, folder, text):
    os.makedirs(root.join(f"proc/1/root{folder}"))
    os.symlink(text, root.join(f"proc/1/root{folder}/web"))
    root.write("proc/77/ns/net", "")
    status = os.stat(root.join("proc/77/ns/net"))
    return Links(root.join("proc")), (status.st_dev, status.st_ino)


@pytest.mark.parametrize(
    "folder, text",
    [
        ("/run/netns", "/proc/77/ns/net"),
        ("/run/netns", "../../proc/77/ns/net"),
        ("/run/netns", "./../../proc/77/ns/net"),
        ("/run/netns", "../../../proc/77/ns/net"),
        ("/run/netns", "//proc/77/ns//net"),
        ("/run/netns", "/proc/77/./ns/net"),
        ("/var/run/netns", "../../../proc/77/ns/net"),
    ],
)
def test_a_link_to_a_process(root, folder, text):
    found, identity = links(root, folder, text)
    assert found.to(identity, ()) == (f"{folder}/web",)


@pytest.mark.parametrize(
    "folder, text",
    [
        ("/run/netns", MOUNT),
        ("/run/netns", "/var" + MOUNT),
        ("/run/netns", "../docker/netns/x"),
        ("/run/netns", "../docker/./netns//x"),
        ("/run/netns", "/var/run/../run/docker/netns/x"),
        ("/var/run/netns", "../docker/netns/x"),
    ],
)
def test_a_link_to_a_mount(root, folder, text):
    found, identity = links(root, folder, text)
    assert found.to(identity, (MOUNT,)) == found.to((0, 0), ("/var" + MOUNT,)) == (f"{folder}/web",)


@pytest.mark.parametrize(
    "text", ["../proc/77/ns/net", "/proc/77/ns/mnt", "77", "..", "/", "/proc/self/ns/net"]
)
def test_a_link_that_leads_elsewhere(root, text):
    found, identity = links(root, "/run/netns", text)
    assert found.to(identity, (MOUNT,)) == ()
