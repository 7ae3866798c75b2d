"""Decides whether the command of an install line only loads the module and sets sysctls (pure)."""

import re
from typing import Callable, Dict, List

from ipvsd.config import sysctl_values

# How modprobe(8) passes on the options that it was called with.
_OWN_OPTIONS = "$CMDLINE_OPTS"
_SHELL = re.compile(r"""\s*(?:\S*/)?sh\s+-c\s+(?P<quote>["'])(?P<command>[^"']*)(?P=quote)\s*""")
_REDIRECTION = re.compile(r"\d?>>?\s*(?:&\d|/dev/null)(?=\s|;|&|$)")
_WRITE = re.compile(r"(?:\S*/)?echo\s+-?\w+\s*>\s*/proc/sys/(\S+)")
_SEPARATORS = re.compile(r"&&|\|\||;")
# What remains of a shell's syntax is not understood here.
_SYNTAX = re.compile(r"""["'`\\<>|&(){}$*?\[\]]""")


def only_sets_sysctls(command: str, module: str) -> bool:
    """Return whether a command loads the module as it is, sets sysctls, and does nothing else.

    It may apply files of sysctls. A single key must be one of IPVS. False if the command is not
    understood.
    """
    shell = _SHELL.fullmatch(command)
    text = _REDIRECTION.sub(" ", shell.group("command") if shell is not None else command)
    return all(_is_known(one.strip(), module) for one in _SEPARATORS.split(text))


def _is_known(command: str, module: str) -> bool:
    written = _WRITE.fullmatch(command)
    if written is not None:
        return _is_own_key(written.group(1))
    words = [word for word in command.split() if word != _OWN_OPTIONS]
    if _SYNTAX.search(" ".join(words)):
        return False
    if not words:
        return True
    known = _COMMANDS.get(words[0].rpartition("/")[2])
    return known is not None and known(words[1:], module)


def _modprobe(words: List[str], module: str) -> bool:
    """Return whether modprobe loads this module alone, and without module options."""
    others = [word.replace("-", "_") for word in words if not word.startswith("-")]
    return others == [module]


def _sysctl(words: List[str], _: str) -> bool:
    pairs = [word.partition("=") for word in words if not word.startswith("-")]
    return all(_is_own_key(key) if equals else key.startswith("/") for key, equals, _ in pairs)


def _is_own_key(key: str) -> bool:
    return key.replace("/", ".").startswith(sysctl_values.TREE)


def _nothing(*_: object) -> bool:
    return True


_COMMANDS: Dict[str, Callable[[List[str], str], bool]] = {
    "modprobe": _modprobe,
    "sysctl": _sysctl,
    "systemd-sysctl": _nothing,
    "sleep": _nothing,
    "true": _nothing,
    ":": _nothing,
}
