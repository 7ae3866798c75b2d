"""Finds containers that set values of IPVS, and kubelets that let pods do so (pure)."""

import json
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from ipvsd.config import sysctl_values
from ipvsd.config.policy import rules_for
from ipvsd.doctor import written_value
from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.doctor.file_syntax import File, plain_lines
from ipvsd.kernel.netns_owner import namespace_name
from ipvsd.model import Namespace, Owner, Policy, Scope

TOPIC = "containers"
# Units, files of arguments, and the usual files of configuration; see also configurations().
KUBELET_FILES = (
    "etc/systemd/system/kubelet.service",
    "etc/systemd/system/kubelet.service.d/*.conf",
    "run/systemd/system/kubelet.service.d/*.conf",
    "usr/local/lib/systemd/system/kubelet.service",
    "usr/local/lib/systemd/system/kubelet.service.d/*.conf",
    "usr/lib/systemd/system/kubelet.service",
    "usr/lib/systemd/system/kubelet.service.d/*.conf",
    "lib/systemd/system/kubelet.service",
    "lib/systemd/system/kubelet.service.d/*.conf",
    "var/lib/kubelet/config.yaml",
    "var/lib/kubelet/config.json",
    "var/lib/kubelet/kubeadm-flags.env",
    "etc/sysconfig/kubelet",
    "etc/default/kubelet",
    "etc/kubernetes/kubelet.conf.d/*.conf",
    "etc/kubernetes/kubelet/*",
    "etc/systemd/system/k3s*.service",
    "etc/systemd/system/rke2*.service",
    "usr/local/lib/systemd/system/rke2*.service",
    "etc/rancher/k3s/config.yaml",
    "etc/rancher/k3s/config.yaml.d/*.yaml",
    "etc/rancher/rke2/config.yaml",
    "etc/rancher/rke2/config.yaml.d/*.yaml",
    "var/snap/microk8s/current/args/kubelet",
)
# The state folder of each containerd: its own, Docker's, that of k3s and RKE2, and others.
_CONTAINERD = (
    "run/containerd",
    "run/docker/containerd",
    "run/docker/containerd/daemon",
    "run/k3s/containerd",
    "run/k0s/containerd",
    "var/snap/microk8s/common/run/containerd",
)
# Where containerd, CRI-O and podman keep the settings of a container: the bundles of OCI.
BUNDLE_FILES = (
    *(
        f"{folder}/io.containerd.runtime.{version}/*/*/config.json"
        for folder in _CONTAINERD
        for version in ("v2.task", "v1.linux")
    ),
    "run/containers/storage/*-containers/*/userdata/config.json",
    "var/lib/containers/storage/*-containers/*/userdata/config.json",
)

_CONFIGURATION = re.compile(r"--config(?P<folder>-dir)?[=\s]\s*[\"']?(?P<path>/[^\s\"']+)")
_LIST = re.compile(r"allowed-?unsafe-?sysctls[\"']?\s*[:=]?", re.IGNORECASE)
_COMMENT = re.compile(r"\s#.*")
# An entry of the list: a key, or the beginning of keys with a star at its end.
_ENTRY = re.compile(r"\bnet(?:[./]\w+)*(?:[./]?\*)?")
_SHOWN = 3  # enough to show which containers they are


def configurations(files: Sequence[File]) -> List[str]:
    """Return the globs of the files of configuration that a kubelet's arguments name."""
    found = []
    for file in files:
        for logical in plain_lines(file):
            for match in _CONFIGURATION.finditer(logical.text):
                path = match.group("path").lstrip("/")
                found.append(f"{path}/*.conf" if match.group("folder") else path)
    return list(dict.fromkeys(found))


def check_kubelet(files: Sequence[File], policy: Policy) -> List[Finding]:
    """Return the lines that let pods set values of IPVS themselves.

    They do not matter where the guard leaves all namespaces but the host's alone.
    """
    found = [line for file in files for line in _allowed(file)]
    if not found or policy.scope is Scope.HOST:
        return []
    text = "kubelet lets pods set values of IPVS, which the guard may set back"
    advice = "to let such pods decide, use `exclude` under [namespaces], or [sysctl KIND:GLOB]"
    return [Finding(TOPIC, Severity.WARNING, text, tuple(found), advice)]


def _allowed(file: File) -> Iterator[Line]:
    """Yield the lines with entries of IPVS: of a list in YAML or JSON, or of an argument."""
    is_block = is_bracket = False  # within `- key` lines, or before the closing bracket
    for logical in plain_lines(file):
        text = _COMMENT.sub("", logical.text)
        start = _LIST.search(text)
        if start is not None:
            text = text[start.end() :].strip().partition(" --")[0]
            is_block, is_bracket = not text, False
        elif is_block and not text.startswith(("- ", "[")):
            is_block = False
        if start is None and not is_block and not is_bracket:
            continue
        is_bracket = is_bracket or text.startswith("[")
        entries, closing, _ = text.partition("]")
        if any(map(_is_of_ipvs, _ENTRY.findall(entries))):
            yield logical.line
        if is_bracket and closing:
            is_block = is_bracket = False


def _is_of_ipvs(entry: str) -> bool:
    entry = entry.replace("/", ".")
    start = entry.rstrip("*")
    is_above = entry.endswith("*") and sysctl_values.TREE.startswith(start)
    return is_above or start.startswith(sysctl_values.TREE)


class _Wish(NamedTuple):
    """A value that a container was started with, and the value that the guard wants there."""

    key: str
    text: str
    wanted: str


def check_containers(bundles: Sequence[File], policy: Policy) -> List[Finding]:
    """Return the containers that were started with another value than the guard's.

    Containers that the configuration excludes do not count, as far as a bundle shows that.
    """
    found: Dict[_Wish, List[Line]] = {}
    for file in bundles:
        for wish in _wishes(file, policy):
            line = Line(file.path, 0, f'"{wish.key}": "{wish.text}"')
            found.setdefault(wish, []).append(line)
    findings = []
    for (key, text, wanted), evidence in sorted(found.items()):
        were = "1 container was" if len(evidence) == 1 else f"{len(evidence)} containers were"
        summary = f"{key} = {text}: {were} started with this value, but {wanted} is wanted"
        advice = "to keep it, use `exclude` under [namespaces], or [sysctl container:ID]"
        shown = tuple(evidence[:_SHOWN])
        findings.append(Finding(TOPIC, Severity.WARNING, summary, shown, advice))
    return findings


def _wishes(file: File, policy: Policy) -> Iterator[_Wish]:
    if "net" not in file.text or "vs" not in file.text:
        return  # most bundles: reading JSON takes longer
    linux = _linux(file.text)
    rules = rules_for(policy, _namespace(file.path, linux))
    wanted = {setting.key: setting.wanted for setting in rules.settings}
    sysctl = linux.get("sysctl")
    for name, text in sysctl.items() if isinstance(sysctl, dict) else ():
        key = name.replace("/", ".")
        if key in wanted and isinstance(text, str):
            value = written_value.taken(key, text)
            if value is None or not sysctl_values.same(key, value, wanted[key]):
                yield _Wish(key, text, wanted[key])


def _linux(text: str) -> Dict[str, Any]:
    """Return the part `linux` of a bundle's config.json, empty if it has none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    linux = document.get("linux") if isinstance(document, dict) else None
    return linux if isinstance(linux, dict) else {}


def _namespace(path: str, linux: Dict[str, Any]) -> Namespace:
    """Return the container's network namespace, as far as a bundle shows whose it is."""
    parts = path.split("/")
    container = parts[-3] if parts[-2] == "userdata" else parts[-2]
    mounts = tuple(filter(None, map(_network_path, _list(linux.get("namespaces")))))
    cgroup = linux.get("cgroupsPath")
    owner = Owner(mounts, _cgroup(cgroup) if isinstance(cgroup, str) else "", container)
    return Namespace(0, 0, namespace_name(owner, 0), owner)


def _cgroup(text: str) -> str:
    """Return the path of a cgroup, which may have the form `a-b.slice:prefix:name` of systemd."""
    parts = text.split(":")
    if len(parts) != len(("slice", "prefix", "name")):
        return text
    words = (parts[0] or "system.slice")[: -len(".slice")].split("-")
    slices = ["-".join(words[:end]) + ".slice" for end in range(1, len(words) + 1)]
    return "/".join(["", *slices, f"{parts[1]}-{parts[2]}.scope"])


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []


def _network_path(namespace: Any) -> Optional[str]:
    """Return the path of a network namespace that is joined rather than made."""
    if not isinstance(namespace, dict) or namespace.get("type") != "network":
        return None
    path = namespace.get("path")
    return path if isinstance(path, str) else None
