"""Decides whether the command of an install line only loads the module and sets sysctls (pure)."""

import re
from typing import Callable, Dict, List, Optional

from ipvsd.config import sysctl_values

# Stands for all files of sysctls that the system has.
SYSTEM = "--system"
_DEFAULT = "/etc/sysctl.conf"  # what `sysctl -p` without a file applies: sysctl(8)

# How modprobe(8) passes on the options that it was called with.
_OWN_OPTIONS = "$CMDLINE_OPTS"
# modprobe(8): without -i, modprobe would run the same hook again. Others, such as -r, -n and -f, do
# something else than to load the module as it is.
_IGNORES_INSTALL = re.compile(r"--ignore-install|-[qvs]*i[iqvs]*")
_ONLY_SHOWS = re.compile(r"--(quiet|verbose|syslog)|-[qvs]+")
_SHELL = re.compile(r"""\s*(?:\S*/)?sh\s+-c\s+(?P<quote>["'])(?P<command>[^"']*)(?P=quote)\s*""")
_REDIRECTION = re.compile(r"\d?>>?\s*(?:&\d|/dev/null)(?=\s|;|&|$)")
_WRITE = re.compile(r"(?:\S*/)?echo\s+-?\w+\s*>\s*/proc/sys/(\S+)")
_SEPARATORS = re.compile(r"&&|\|\||;")
# What remains of a shell's syntax is not understood here.
_SYNTAX = re.compile(r"""["'`\\<>|&(){}$*?\[\]]""")
# sysctl(8). What follows a -p in the same word is the name of a file.
_SYSCTL_LOADS = re.compile(r"-[eqw]*p|--load(=(?P<file>.*))?")
_SYSCTL_OTHER = re.compile(r"-[eqw]+|--(ignore|quiet|write)")
_FILE = re.compile(r"/(?!dev/|proc/).*")
_PREFIX = re.compile(r"--prefix=(?:/proc/sys/|/)?(.*)")


def loaded_files(command: str, module: str) -> Optional[List[str]]:
    """Return the files of sysctls that a command applies after it has loaded the module.

    None if it does anything else than to load the module as it is, once, and to set sysctls, or if
    it is not understood. A single key must be one of IPVS.
    """
    shell = _SHELL.fullmatch(command)
    text = _REDIRECTION.sub(" ", shell.group("command") if shell is not None else command)
    # The first command runs in any case: whether a later one does depends on those before it.
    first, *others = _SEPARATORS.split(text)
    if not _loads(first, module):
        return None
    found: List[str] = []
    for one in others:
        files = _applied(one.strip())
        if files is None:
            return None
        found += files
    return found


def _loads(command: str, module: str) -> bool:
    """Return whether the command is a modprobe of this module alone, and as it is."""
    words = [word for word in command.split() if word != _OWN_OPTIONS]
    names = [word.replace("-", "_") for word in words[1:] if not word.startswith("-")]
    options = [word for word in words[1:] if word.startswith("-")]
    ignoring = [word for word in options if _IGNORES_INSTALL.fullmatch(word)]
    known = all(word in ignoring or _ONLY_SHOWS.fullmatch(word) for word in options)
    is_modprobe = words[:1] != [] and words[0].rpartition("/")[2] == "modprobe"
    return is_modprobe and names == [module] and bool(ignoring) and known


def _applied(command: str) -> Optional[List[str]]:
    """Return the files of sysctls that a command applies, None if it does anything else."""
    written = _WRITE.fullmatch(command)
    if written is not None:
        return [] if _is_own_key(written.group(1)) else None
    words = [word for word in command.split() if word != _OWN_OPTIONS]
    if _SYNTAX.search(" ".join(words)):
        return None
    if not words:
        return []
    known = _COMMANDS.get(words[0].rpartition("/")[2])
    return known(words[1:]) if known is not None else None


def _sysctl(words: List[str]) -> Optional[List[str]]:
    options = [word for word in words if word.startswith("-") and word != SYSTEM]
    loads = [found for found in map(_SYSCTL_LOADS.fullmatch, options) if found is not None]
    others = [word for word in options if _SYSCTL_LOADS.fullmatch(word) is None]
    names = [word for word in words if not word.startswith("-")]
    if not all(map(_SYSCTL_OTHER.fullmatch, others)):
        return None
    if not loads and SYSTEM not in words:
        pairs = [word.partition("=") for word in names]
        return [] if all(equals and _is_own_key(key) for key, equals, _ in pairs) else None
    files = [found.group("file") for found in loads if found.group("file") is not None] + names
    if not all(map(_FILE.fullmatch, files)):
        return None
    return [SYSTEM] * (SYSTEM in words) + (files or [_DEFAULT] * bool(loads))


def _systemd_sysctl(words: List[str]) -> Optional[List[str]]:
    if not words:
        return [SYSTEM]
    prefixes = [found.group(1) for found in map(_PREFIX.fullmatch, words) if found is not None]
    is_own = len(prefixes) == len(words) and all(_is_own_key(one + "/") for one in prefixes)
    return [] if is_own else None


def _is_own_key(key: str) -> bool:
    return key.replace("/", ".").startswith(sysctl_values.TREE)


def _nothing(_: List[str]) -> Optional[List[str]]:
    return []


_COMMANDS: Dict[str, Callable[[List[str]], Optional[List[str]]]] = {
    "sysctl": _sysctl,
    "systemd-sysctl": _systemd_sysctl,
    "sleep": _nothing,
    "true": _nothing,
    ":": _nothing,
}
