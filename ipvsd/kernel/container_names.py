"""Parses the names of containers, from cgroups and from files of their engines (pure).

Whoever starts a container can choose these texts. They are raw: escape them before printing.
"""

import json
import re
from typing import Any, Dict, NamedTuple

# NAME_MAX, so that no name is longer than that of a file.
_MAX_NAME = 255

# /lxc.payload.web, /lxc.monitor.web (LXC 4 and newer, Incus), /lxc.payload/web, /lxc/web.
_LXC = re.compile(r"/lxc(?:\.(?:payload|monitor)[./]|/)(?P<name>[^/]+)", re.DOTALL)
# systemd's machines: machined makes the scope, systemd-nspawn@.service runs one at each boot.
_MACHINE = re.compile(
    r"/(?:machine-(?P<scope>[^/]+)\.scope|systemd-nspawn@(?P<service>[^/]+)\.service)", re.DOTALL
)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")  # systemd.unit(5)

# The infra container of a podman pod has this name, and the pod's name as its hostname.
_INFRA = re.compile(r"[0-9a-f]{12}-infra")

# kubelet's labels, and the annotations that containerd and CRI-O make of them. The container of the
# pod itself has no name there, or this one.
_POD = (
    ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name"),
    ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name"),
    ("io.kubernetes.cri-o.Namespace", "io.kubernetes.cri-o.KubeName"),
)
_IN_POD = ("io.kubernetes.container.name", "io.kubernetes.cri.container-name")
_POD_ITSELF = "POD"
_CRIO_LABELS = "io.kubernetes.cri-o.Labels"  # JSON in the JSON
_NERDCTL = "nerdctl/name"
_MANAGER = "io.container.manager"
_SWARM = "com.docker.swarm.service.name"


class ContainerName(NamedTuple):
    """What its engine calls a container; empty where that is unknown."""

    engine: str = ""
    name: str = ""
    part_of: str = ""  # the pod, or the Swarm service


def from_cgroup(path: str) -> ContainerName:
    """Return the name of an LXC container or of a machine of systemd, the innermost one."""
    found = ContainerName()
    begin = -1
    for engine, pattern in (("lxc", _LXC), ("machine", _MACHINE)):
        for match in pattern.finditer(path):
            if match.start() > begin:
                begin = match.start()
                name = next(group for group in match.groups() if group is not None)
                found = ContainerName(engine, (_unescaped(name) if engine == "machine" else name))
    return found._replace(name=found.name[:_MAX_NAME])


def from_docker(text: str) -> ContainerName:
    """Return the name in a config.v2.json of Docker."""
    document = _object(text)
    config = document.get("Config")
    labels = _texts(config.get("Labels") if isinstance(config, dict) else None)
    pod = _in_pod(labels)
    if pod.engine:
        return pod  # of cri-dockerd
    name = document.get("Name")
    return _named("docker", name.lstrip("/") if isinstance(name, str) else "", _get(labels, _SWARM))


def docker_folder(text: str) -> str:
    """Return the folder of Docker's data that a daemon.json wants, empty for the default."""
    folder = _object(text).get("data-root")
    return folder if isinstance(folder, str) and "\0" not in folder else ""


def from_bundle(text: str, index: Dict[str, str], container: str) -> ContainerName:
    """Return the name in the config.json of an OCI bundle, or in the index of its storage."""
    document = _object(text)
    annotations = _texts(document.get("annotations"))
    labels = dict(_texts(_object(_get(annotations, _CRIO_LABELS))), **annotations)
    pod = _in_pod(labels)
    if pod.engine:
        return pod
    if _get(labels, _MANAGER) == "libpod":
        name, hostname = index.get(container, ""), document.get("hostname")
        is_infra = _INFRA.fullmatch(name) and isinstance(hostname, str)
        return _named("podman", name, str(hostname) if is_infra else "")
    return _named("containerd", _get(labels, _NERDCTL), "")


def parse_index(text: str) -> Dict[str, str]:
    """Return the names by id in a containers.json of containers/storage (podman, CRI-O)."""
    document = _parsed(text)
    names: Dict[str, str] = {}
    for one in document if isinstance(document, list) else ():
        if isinstance(one, dict) and isinstance(one.get("names"), list):
            container, found = one.get("id"), one["names"]
            if isinstance(container, str) and found and isinstance(found[0], str):
                names[container] = found[0]
    return names


def _in_pod(labels: Dict[str, str]) -> ContainerName:
    for namespace, pod in _POD:
        if _get(labels, pod):
            name = next(filter(None, (_get(labels, key) for key in _IN_POD)), "")
            part_of = f"{_get(labels, namespace)}/{_get(labels, pod)}"
            return _named("kubernetes", "" if name == _POD_ITSELF else name, part_of)
    return ContainerName()


def _named(engine: str, name: str, part_of: str) -> ContainerName:
    if not (name or part_of):
        return ContainerName()
    return ContainerName(engine, name[:_MAX_NAME], part_of[:_MAX_NAME])


def _parsed(text: str) -> Any:
    """Return a JSON document without its numbers, None if the text has none.

    To convert a number of a million digits takes very long before Python 3.11.
    """
    try:
        return json.loads(text, parse_int=_no_number, parse_float=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(_: str) -> None:
    return None


def _object(text: str) -> Dict[str, Any]:
    document = _parsed(text)
    return document if isinstance(document, dict) else {}


def _texts(value: Any) -> Dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}


def _get(texts: Dict[str, str], name: str) -> str:
    return texts.get(name, "")


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), name)
