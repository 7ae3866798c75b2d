"""Derives the owner of a namespace from a cgroup, and a name for people (pure).

Any user who creates a namespace can choose these texts. They are raw: escape them before printing.
"""

import re
from typing import Dict, Tuple

from ipvsd.model import HOST_NAME, Namespace, Owner

# PATH_MAX and NAME_MAX: the kernel shows no longer paths and file names.
_MAX_PATH = 4096
_MAX_NAME = 255

# Where ip(8) and CNI keep namespaces by name. /var/run is a link to /run nearly everywhere.
NAMES_FOLDERS = ("/run/netns", "/var/run/netns")
# 3f2a..., docker-3f2a....scope, cri-containerd-3f2a....scope, libpod-payload-3f2a...,
# kubepods-pod1.slice:cri-containerd:3f2a...
_CONTAINER = re.compile(r"(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?", re.DOTALL)
# libpod-conmon-3f2a....scope, crio-conmon-3f2a....scope: the monitor outside the container.
_MONITOR = "conmon-"


def owner_from_cgroup(text: str) -> Tuple[str, str, str]:
    """Return cgroup, container id and systemd unit of a process, empty where there is none.

    `text` is the content of /proc/PID/cgroup. The container is the innermost one. The unit is the
    one that `systemctl status PID` shows, the outermost service or scope: inner ones belong to the
    systemd of a user or of a container. The scope of a container itself does not count as a unit.
    """
    cgroup = _cgroup(text)
    parts = [part for part in cgroup.split("/") if part]
    ids = [container for container in map(_container, reversed(parts)) if container]
    unit = next((part for part in parts if not part.endswith(".slice")), "")
    if not unit.endswith((".service", ".scope")) or _container(unit):
        unit = ""
    return cgroup, ids[0] if ids else "", unit


def _cgroup(text: str) -> str:
    """Return the path in systemd's own hierarchy, or else the first path that is not the root.

    Where cgroup version 1 is mounted too, the line `0::` of version 2 has the path of the
    container's shim.
    """
    paths: Dict[str, str] = {}
    for line in text.split("\n"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/"):
            path = path[:-10] if path.endswith(" (deleted)") else path
            paths.setdefault(controllers, path[:_MAX_PATH])
    systemd = paths.get("name=systemd", "/")
    others = (path for path in paths.values() if path != "/")
    return systemd if systemd != "/" else next(others, "/" if paths else "")


def _container(part: str) -> str:
    match = _CONTAINER.fullmatch(part)
    return match.group(1) if match and _MONITOR not in part else ""


def describe(namespace: Namespace) -> str:
    """Return the owner as one line: mount, unit, container and process, as far as known.

    What the name of the namespace says already is left out.
    """
    owner = namespace.owner
    sources = list((*owner.mounts, *owner.links)[:1])
    if owner.unit:
        sources.append(owner.unit)
    title = _title(owner)
    if title:
        sources.append(title)
    if title and owner.engine == "kubernetes" and owner.container_name:
        sources.append(f"container {owner.container_name}")
    if owner.engine == "docker" and owner.part_of:
        sources.append(f"service {owner.part_of}")
    if owner.container:
        sources.append(_container_id(owner))
    if owner.pid:
        sources.append(_process(owner))
    for path, pid in owner.mounts_elsewhere[:1]:
        sources.append(f"{path} (in the mounts of pid {pid})")
    return ", ".join(source for source in sources if source[:_MAX_NAME] != namespace.name)


def namespace_name(owner: Owner, inode: int) -> str:
    """Return the best known name for a namespace other than the host's; never HOST_NAME.

    A name known to ip(8) comes first, then what its engine calls the container, then any other
    mount's path, container, unit, process. A mount that pid 1 does not see is no name: a user who
    makes one in a mount namespace would take the name of another namespace, and its rules.
    """
    return _name(owner, inode)[:_MAX_NAME]


def _name(owner: Owner, inode: int) -> str:
    for path in (*owner.mounts, *owner.links):
        folder, _, name = path.rpartition("/")
        if folder in NAMES_FOLDERS and name not in ("", HOST_NAME):
            return name
    title = _title(owner)
    if title:
        return title
    if owner.mounts:
        return owner.mounts[0]
    if owner.container:
        return _container_id(owner)
    if owner.unit:
        return owner.unit
    if owner.pid:
        return _process(owner)
    return f"net:[{inode}]"


def _title(owner: Owner) -> str:
    """Return what its engine calls the container, or the pod that has the namespace."""
    if owner.part_of and owner.engine != "docker":
        return f"pod {owner.part_of}"
    return f"{owner.engine} {owner.container_name}" if owner.container_name else ""


def _container_id(owner: Owner) -> str:
    return f"container {owner.container[:12]}"


def _process(owner: Owner) -> str:
    return f"pid {owner.pid}" + (f" ({owner.command})" if owner.command else "")
