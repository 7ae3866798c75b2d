"""Finds other writers of IPVS values: udev, tuned, scripts, Kubernetes, containers (pure)."""

import re
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ipvsd.config import sysctl_values
from ipvsd.doctor import check_sysctl_files
from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.doctor.file_syntax import File, LogicalLine, continued_lines, plain_lines

UDEV = "udev rules"
UDEV_FOLDERS = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
TUNED = "tuned"
TUNED_FOLDERS = ("usr/lib/tuned/profiles", "usr/lib/tuned", "etc/tuned/profiles", "etc/tuned")
SCRIPTS = "scripts and timers"
SCRIPT_FILES = (
    "etc/crontab",
    "etc/anacrontab",
    "etc/cron.d/*",
    "etc/cron.hourly/*",
    "etc/cron.daily/*",
    "etc/cron.weekly/*",
    "etc/cron.monthly/*",
    "var/spool/cron/*",
    "var/spool/cron/crontabs/*",
    "etc/rc.local",
    "etc/rc.d/rc.local",
    "etc/systemd/system/*.d/*.conf",
    "run/systemd/system/*.d/*.conf",
)
UNIT_FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
CONTAINERS = "containers"
KUBELET_FILES = (
    "var/lib/kubelet/config.yaml",
    "var/lib/kubelet/kubeadm-flags.env",
    "etc/sysconfig/kubelet",
    "etc/default/kubelet",
)
# Where containerd (Docker and Kubernetes), CRI-O and podman keep the settings of a container.
BUNDLE_FILES = (
    "run/containerd/io.containerd.runtime.v2.task/*/*/config.json",
    "run/containers/storage/*-containers/*/userdata/config.json",
    "var/lib/containers/storage/*-containers/*/userdata/config.json",
)

_SETTING = re.compile(r"net[./]ipv4[./]vs[./](\w+)|\brun_estimation\b")
_UDEV_IP_VS = re.compile(r'KERNEL=="ip_vs"|net[./]ipv4[./]vs')
# In an OCI bundle's config.json: "linux": {"sysctl": {"net.ipv4.vs.run_estimation": "1"}}.
_OCI_SYSCTL = re.compile(r'"(net\.ipv4\.vs\.\w+)"\s*:\s*"([^"\n]*)"')
# In the kubelet's configuration or arguments: the sysctls that pods may set themselves.
_ALLOWED = re.compile(r"""net\.(?:\*|ipv4\.(?:\*|vs\.[\w*]+))""")


def check_udev(files: Sequence[File]) -> List[Finding]:
    """Return the rules that act when ip_vs is loaded, or set a value."""
    findings = []
    for file in files:
        for logical in continued_lines(file):
            if _SETTING.search(logical.text) or _UDEV_IP_VS.search(logical.text):
                text = "a rule acts on ip_vs or its values, later than the guard and only in the "
                text += "host's namespace"
                advice = "remove the rule if it sets a value, so that only the guard does"
                findings.append(Finding(UDEV, Severity.WARNING, text, (logical.line,), advice))
    return findings or [_none(UDEV, files, "acts on ip_vs")]


class Tuned(NamedTuple):
    """The profiles of tuned: the active ones, and the tuned.conf of each by its name."""

    active: Tuple[str, ...]
    profiles: Mapping[str, File]


def check_tuned(tuned: Tuned, wanted: Mapping[str, str]) -> List[Finding]:
    """Return the values that profiles set; whether a profile is in use decides the severity.

    A profile is in use if it is active, or if one in use includes it. `wanted` has the guarded keys
    and their values.
    """
    in_use = _included(tuned)
    findings = []
    for name, file in sorted(tuned.profiles.items()):
        for one in _tuned_sysctls(file):
            findings.append(_tuned_finding(one, name, name in in_use, wanted.get(one.key)))
    return findings or [_none(TUNED, list(tuned.profiles.values()), "sets a value of IPVS")]


def _tuned_finding(
    one: check_sysctl_files.Assignment, name: str, in_use: bool, wanted: Optional[str]
) -> Finding:
    value = one.value or ""
    agrees = wanted is not None and sysctl_values.same(one.key, value, wanted)
    state = "the active" if in_use else "an inactive"
    text = f"{state} profile {name} sets {one.key} to {value}"
    if wanted is not None and not agrees:
        text += f", which the guard sets back to {wanted}"
    severity = Severity.HINT
    if in_use and not agrees:
        severity = Severity.WARNING if wanted is None else Severity.PROBLEM
    advice = "remove the line from a copy of the profile in /etc/tuned; set the value in guard.conf"
    return Finding(TUNED, severity, text, (one.line,), advice)


def _included(tuned: Tuned) -> Set[str]:
    """Return the active profiles and all profiles that they include."""
    found: Set[str] = set()
    todo = list(tuned.active)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            file = tuned.profiles.get(name)
            todo += _options(file, "main").get("include", "").replace(",", " ").split()
    return found


def _options(file: Optional[File], wanted: str) -> Dict[str, str]:
    lines = () if file is None else _section(file, wanted)
    pairs = (logical.text.partition("=") for logical in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _tuned_sysctls(file: File) -> Iterator[check_sysctl_files.Assignment]:
    for logical in _section(file, "sysctl"):
        for one in check_sysctl_files.parse(File(file.path, logical.text)):
            yield one._replace(line=logical.line)


def _section(file: File, wanted: str) -> Iterator[LogicalLine]:
    section = ""
    for logical in plain_lines(file, "#;"):
        if logical.text.startswith("["):
            section = logical.text.strip("[]")
        elif section == wanted:
            yield logical


def check_scripts(files: Sequence[File]) -> List[Finding]:
    """Return the lines of cron tables, boot scripts and units that mention a setting of IPVS."""
    findings = []
    for file in files:
        for logical in plain_lines(file, "#;"):
            if _SETTING.search(logical.text):
                text = "a script, cron line or unit mentions a setting of IPVS"
                advice = "if the line sets the value, remove it: the guard sets it at each load"
                findings.append(Finding(SCRIPTS, Severity.WARNING, text, (logical.line,), advice))
    return findings or [_none(SCRIPTS, files, "sets a value of IPVS")]


def check_kubelet(files: Sequence[File]) -> List[Finding]:
    """Return the lines that let pods set values of IPVS themselves."""
    found = [line for file in files for line in _allowed(file)]
    if not found:
        return []
    text = "kubelet lets pods set values of IPVS, which the guard may set back"
    advice = "to let such pods decide, use `exclude` under [namespaces], or [sysctl KIND:GLOB]"
    return [Finding(CONTAINERS, Severity.WARNING, text, tuple(found), advice)]


def _allowed(file: File) -> Iterator[Line]:
    within = False
    for logical in plain_lines(file):
        key = logical.text.replace("-", "").lower()
        if "allowedunsafesysctls" in key:
            within = True
        elif not logical.text.startswith("-"):
            within = False
        if within and _ALLOWED.search(logical.text):
            yield logical.line


def check_containers(bundles: Sequence[File], wanted: Mapping[str, str]) -> List[Finding]:
    """Return the containers that were started with another value than the guard's."""
    found: Dict[Tuple[str, str], List[Line]] = {}
    for file in bundles:
        for key, value in _OCI_SYSCTL.findall(file.text):
            if key in wanted and not sysctl_values.same(key, value, wanted[key]):
                line = Line(file.path, 0, f'"{key}": "{value}"')
                found.setdefault((key, value), []).append(line)
    findings = []
    for (key, value), evidence in sorted(found.items()):
        were = "1 container was" if len(evidence) == 1 else f"{len(evidence)} containers were"
        text = f"{key} = {value}: {were} started with this value, but {wanted[key]} is wanted"
        advice = "to keep it, use `exclude` under [namespaces], or [sysctl container:ID]"
        # Three are enough to show which containers they are.
        findings.append(Finding(CONTAINERS, Severity.WARNING, text, tuple(evidence[:3]), advice))
    return findings


def _none(topic: str, files: Sequence[File], what: str) -> Finding:
    return Finding(topic, Severity.OK, f"none of {len(files)} files {what}")
