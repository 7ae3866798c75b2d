"""Decides whether the service can write its metrics into a folder (pure)."""

import re
from typing import Mapping, NamedTuple, Optional, Tuple

# What `systemctl show` is asked for.
PROPERTIES = (
    "LoadState",
    "MainPID",
    "CapabilityBoundingSet",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "ReadWritePaths",
    "RuntimeDirectory",
)
_UNIT = "ipvs-estoff-guard"
_ADD = f"`systemctl edit {_UNIT}`, and `systemctl restart {_UNIT}`"
# Folders that the settings of systemd.exec(5) hide behind others.
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")
_WRITE_AND_ENTER = 0o3
_CAP_DAC_OVERRIDE = 1  # linux/capability.h


class Folder(NamedTuple):
    """A folder as stat(2) shows it; `path` has no symbolic links."""

    path: str
    mode: int
    uid: int
    gid: int
    read_only_until_restart: bool = False  # the running service cannot write, though others can


def parse_show(shown: str) -> Mapping[str, str]:
    """Return the properties that `systemctl show` printed."""
    return dict(re.findall(r"^(\w+)=(.*)$", shown, re.MULTILINE))


def problem(folder: Folder, unit: Optional[Mapping[str, str]]) -> str:
    """Return why the service cannot write in the folder and what to do; empty if it can.

    `unit` has the properties of the service, None where systemd does not know it: then nothing is
    known about its sandbox.
    """
    if unit is None or unit.get("LoadState") != "loaded":
        return ""
    forbidden = "" if _ignores_permissions(unit) else _not_permitted(folder)
    return _sandbox_problem(folder.path, unit) or forbidden or _restart_needed(folder)


def _sandbox_problem(path: str, unit: Mapping[str, str]) -> str:
    if unit.get("PrivateTmp") == "yes" and _is_below(path, _TEMPORARY):
        return f"{path} is hidden from the service by PrivateTmp=yes; take another folder"
    if unit.get("ProtectHome", "no") != "no" and _is_below(path, _HOMES):
        return _home_problem(path, unit)
    if unit.get("ProtectSystem") == "strict" and not _is_below(path, _writable(unit)):
        return f"{path} is read-only for the service; {_add(path)}"
    return ""


def _home_problem(path: str, unit: Mapping[str, str]) -> str:
    word = unit["ProtectHome"]
    if word != "read-only":
        return f"{path} is hidden from the service by ProtectHome={word}; take another folder"
    # Of two settings for one folder the stricter one holds, and a setting for a folder goes before
    # one for the folder above it (MountMode and drop_duplicates() in
    # systemd's namespace.c).
    if _is_below(path, tuple(one for one in _writable(unit) if _is_inside_home(one))):
        return ""
    text = f"{path} is read-only for the service by ProtectHome=read-only"
    return f"{text}; {_add(path) if _is_inside_home(path) else 'take another folder'}"


def _is_inside_home(path: str) -> bool:
    return _is_below(path, _HOMES) and path.rstrip("/") not in _HOMES


def _add(path: str) -> str:
    return f"add [Service] ReadWritePaths={path} with {_ADD}"


def _restart_needed(folder: Folder) -> str:
    """Return that the sandbox is older than the folder, or than the setting that opens it."""
    if not folder.read_only_until_restart:
        return ""
    return (
        f"{folder.path} is read-only for the service that runs now, since the folder or the "
        f"setting of the unit is newer than its start; `systemctl restart {_UNIT}`"
    )


def _writable(unit: Mapping[str, str]) -> Tuple[str, ...]:
    paths = [word.lstrip("-+") for word in unit.get("ReadWritePaths", "").split()]
    return (*paths, *(f"/run/{name}" for name in unit.get("RuntimeDirectory", "").split()))


def _is_below(path: str, folders: Tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _ignores_permissions(unit: Mapping[str, str]) -> bool:
    """Return whether the service has CAP_DAC_OVERRIDE; systemd 219 shows a number."""
    capabilities = unit.get("CapabilityBoundingSet", "cap_dac_override")
    if capabilities.isdigit():
        return bool(int(capabilities) >> _CAP_DAC_OVERRIDE & 1)
    return "cap_dac_override" in capabilities.lower().split()


def _not_permitted(folder: Folder) -> str:
    """Return why root may not write there without the capability to ignore permissions."""
    if folder.uid == 0:
        bits = folder.mode >> 6
    else:
        bits = folder.mode >> 3 if folder.gid == 0 else folder.mode
    if bits & _WRITE_AND_ENTER == _WRITE_AND_ENTER:
        return ""
    return (
        f"{folder.path} does not belong to root, or its mode forbids writing; chown it to root, or "
        f"add [Service] CapabilityBoundingSet=CAP_DAC_OVERRIDE with {_ADD}"
    )
