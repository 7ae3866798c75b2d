"""Reads the configuration files of other programs, and lets the pure checks judge them."""

import os
from functools import partial
from typing import Dict, List, Sequence

from ipvsd.doctor import (
    check_containers,
    check_modprobe,
    check_scripts,
    check_sysctl_files,
    check_tuned,
    check_udev,
)
from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.doctor.file_reader import Reader
from ipvsd.doctor.file_syntax import File
from ipvsd.doctor.host import Host
from ipvsd.doctor.install_hook import SYSTEM

_UNREADABLE_SHOWN = 5


def sysctl_files(host: Host) -> List[Finding]:
    """Return what the sysctl files do to keys of IPVS."""
    return check_sysctl_files.check(_sysctl_sources(host.files), host.wanted())


def _sysctl_sources(reader: Reader) -> check_sysctl_files.Sources:
    last = reader.file(check_sysctl_files.LAST_FILE)
    boot, by_hand = (
        # A link to sysctl.conf is replaced by sysctl.conf, so that a finding shows this name.
        [_same(file, last) for file in _sysctl_folders(reader, hidden)]
        for hidden in (False, True)
    )
    return check_sysctl_files.Sources(boot, by_hand + last)


def _sysctl_folders(reader: Reader, hidden: bool) -> List[File]:
    return reader.folders(check_sysctl_files.FOLDERS, ".conf", hidden=hidden)


def modprobe_files(host: Host) -> List[Finding]:
    """Return the hooks on ip_vs."""
    files = host.files.folders(check_modprobe.FOLDERS, *check_modprobe.SUFFIXES)
    lost = partial(lost_sysctls, host.root)
    return check_modprobe.check(files, changeable(host.root, files), lost)


def lost_sysctls(root: str, names: Sequence[str]) -> List[str]:
    """Return the keys that a boot may not set as these files do, and what could not be read."""
    if not names:
        return []
    reader = Reader(root)
    sources = _sysctl_sources(reader)
    applied: List[File] = []
    for name in names:
        applied += sources.by_hand if name == SYSTEM else reader.file(name.lstrip("/"))
    unread = [f"the keys in {line.path} ({line.text})" for line in reader.unreadable]
    return unread + check_sysctl_files.lost_without(applied, sources.boot)


def udev(host: Host) -> List[Finding]:
    """Return the udev rules that act on ip_vs."""
    return check_udev.check(host.files.folders(check_udev.FOLDERS, ".rules"))


def tuned(host: Host) -> List[Finding]:
    """Return the tuned profiles that set values of IPVS."""
    profiles: Dict[str, File] = {}
    for folder in check_tuned.FOLDERS:
        for file in host.files.matching(f"{folder}/*/tuned.conf"):
            profiles[file.path.split("/")[-2]] = file
    active = " ".join(host.files.text(name) for name in check_tuned.ACTIVE_FILES)
    return check_tuned.check(check_tuned.Tuned(tuple(active.split()), profiles), host.wanted())


def scripts(host: Host) -> List[Finding]:
    """Return the scripts, cron lines and units that mention settings of IPVS."""
    return check_scripts.check(host.script_files())


def containers(host: Host) -> List[Finding]:
    """Return the containers with another value, and what the kubelet lets pods set."""
    kubelet = host.files.matching(*check_containers.KUBELET_FILES)
    kubelet += host.files.matching(*check_containers.configurations(kubelet))
    once = list({os.path.realpath(file.path): file for file in kubelet}.values())
    bundles = host.files.matching(*check_containers.BUNDLE_FILES)
    findings = check_containers.check_kubelet(once, host.policy)
    return findings + check_containers.check_containers(bundles, host.policy)


def unreadable(host: Host) -> List[Finding]:
    """Return the files that could not be read."""
    if not host.files.unreadable:
        return []
    count = len(host.files.unreadable)
    were = "1 file or folder" if count == 1 else f"{count} files or folders"
    evidence = host.files.unreadable[:_UNREADABLE_SHOWN]
    text = f"{were} could not be read"
    return [Finding("files", Severity.HINT, text, evidence, "to check these too, run it as root")]


def changeable(root: str, files: Sequence[File]) -> List[str]:
    """Return the paths that `doctor --fix` may change: the administrator's, below /etc.

    Of two names of one file, only the first is returned.
    """
    etc = os.path.realpath(os.path.join(root, "etc"))
    found: Dict[str, str] = {}
    for file in files:
        found.setdefault(os.path.realpath(file.path), file.path)
    return [path for real, path in found.items() if real.startswith(etc + "/")]


def _same(file: File, others: Sequence[File]) -> File:
    for other in others:
        if os.path.realpath(file.path) == os.path.realpath(other.path):
            return other
    return file
