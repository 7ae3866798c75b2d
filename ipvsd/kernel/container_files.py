"""Reads from files of container engines what a container is called, and asks no daemon."""

import os
import stat
from typing import Dict, Optional

from ipvsd.kernel import container_names
from ipvsd.kernel.container_names import ContainerName

_MAX_BYTES = 1024 * 1024  # a bundle's config.json has some 20 KB
_MAX_INDEX_BYTES = 8 * 1024 * 1024  # some 1 KB for each container

# Docker's folder, unless /etc/docker/daemon.json has another "data-root".
_DOCKER = "/var/lib/docker"
_DOCKER_CONFIGURATION = "etc/docker/daemon.json"

# containers/storage: the bundles of podman are below the first folder, those of CRI-O below the
# second. `podman run --rm` keeps its names in the second index.
_STORAGES = tuple(
    f"{folder}/{driver}-containers"
    for folder in ("var/lib/containers/storage", "run/containers/storage")
    for driver in ("overlay", "vfs")
)
# Where all of them are, as far as no configuration moves them.
FOLDERS = ("/var/lib/docker", "/var/lib/containers/storage", "/run/containers", "/run/containerd")
_INDEXES = ("containers.json", "volatile-containers.json")

# containerd, as packaged, by k3s and RKE2, by k0s, and by MicroK8s; with the namespaces of
# Kubernetes and of nerdctl. Docker's containers, in "moby", have no name here.
_BUNDLES = (
    *(
        f"{folder}/io.containerd.runtime.v2.task/{namespace}/{{}}/config.json"
        for folder in (
            "run/containerd",
            "run/k3s/containerd",
            "run/k0s/containerd",
            "var/snap/microk8s/common/run/containerd",
        )
        for namespace in ("k8s.io", "default")
    ),
    *(f"{storage}/{{}}/userdata/config.json" for storage in _STORAGES),
)


class ContainerFiles:
    """The files of the engines at one moment; what cannot be read names nothing."""

    def __init__(self, root: str) -> None:
        """Take the root; below another one than "/", as in a container, pid 1's is used too."""
        self._roots = (root,) if root == "/" else (root, os.path.join(root, "proc/1/root"))
        self._docker: Optional[str] = None
        self._index: Optional[Dict[str, str]] = None

    def name(self, container: str) -> ContainerName:
        """Return the name of a container with this id (64 hexadecimal digits)."""
        if self._docker is None:
            text = self._read(_DOCKER_CONFIGURATION)
            self._docker = container_names.docker_folder(text) or _DOCKER
        text = self._read(f"{self._docker}/containers/{container}/config.v2.json")
        if text:
            return container_names.from_docker(text)
        for bundle in _BUNDLES:
            text = self._read(bundle.format(container))
            if text:
                return container_names.from_bundle(text, self._names(), container)
        return ContainerName()

    def _names(self) -> Dict[str, str]:
        if self._index is None:
            self._index = {}
            for storage in _STORAGES:
                for name in _INDEXES:
                    text = self._read(f"{storage}/{name}", _MAX_INDEX_BYTES)
                    self._index.update(container_names.parse_index(text))
        return self._index

    def _read(self, name: str, limit: int = _MAX_BYTES) -> str:
        """Return the text of a regular file, without waiting; empty if there is none, or none such.

        Another user's file system may hang all the same: only for a NamespaceWorker's job.
        """
        for root in self._roots:
            text = _read(os.path.join(root, name.lstrip("/")), limit)
            if text:
                return text
        return ""


def _read(path: str, limit: int) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return ""
            return os.fsdecode(file.read(status.st_size))
    except OSError:
        return ""
