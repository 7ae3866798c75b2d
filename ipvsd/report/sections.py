"""Decides what a report for support holds, what is left out, and how it looks (pure)."""

import re
from typing import NamedTuple, Optional, Sequence, Tuple

from ipvsd.model import SERVICE
from ipvsd.text import printable_line

# The commands of ipvsd. The names of namespaces and of their owners are in the report; addresses
# of services are not.
COMMANDS: Tuple[Tuple[str, ...], ...] = (
    ("doctor",),
    ("verify",),
    ("status", "--all"),
    ("stats",),
    ("config",),
    ("history", "--since", "7 days ago", "--all"),
)
PROGRAMS: Tuple[Tuple[str, ...], ...] = (
    ("systemctl", "status", "--no-pager", "--full", "--lines=0", SERVICE),
    ("systemctl", "cat", "--no-pager", SERVICE),
    ("journalctl", "--no-pager", "--quiet", "--lines=200", "--output=short-iso", "--unit", SERVICE),
    ("systemctl", "--version"),
)
# Patterns of files below the root. /proc/cmdline is left out, since it may hold passwords.
FILES = (
    "etc/os-release",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/version",
    "proc/sys/kernel/tainted",
    "proc/sys/kernel/ftrace_enabled",
    "sys/devices/system/cpu/possible",
    "sys/devices/system/cpu/online",
    "sys/module/ip_vs/initstate",
    "sys/module/ip_vs/refcnt",
    "sys/module/ip_vs/srcversion",
    "sys/module/ip_vs/parameters/*",
    "proc/sys/net/ipv4/vs/*",
    "proc/net/ip_vs_stats",
    "sys/kernel/security/lsm",
    "sys/fs/selinux/enforce",
)

_HIDDEN = "(left out)"
# Lines of other people's scripts and units are quoted, and may hold such a thing.
_SECRETS = (
    re.compile(r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key)\w*\s*[=:]\s*)(\S+)"),
    re.compile(r"(?i)(--?(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key)\s+)(\S+)"),
    re.compile(r"(?i)(\bauthorization:\s*\w+\s+)(\S+)"),
    re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)"),
)


class Section(NamedTuple):
    """A part of a report: a command or a file, how it ended, and its text."""

    title: str
    text: str
    ended: Optional[int] = 0  # exit code; None if the program did not run or was killed


def without_secrets(line: str) -> str:
    """Return a line in which values are replaced that look like passwords or tokens."""
    for pattern in _SECRETS:
        line = pattern.sub(rf"\1{_HIDDEN}", line)
    return line


def render(head: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the report."""
    parts = ["\n".join(head)]
    for section in sections:
        code = "did not end" if section.ended is None else f"exit code {section.ended}"
        title = f"== {section.title}" + (f" ({code})" if section.ended != 0 else "")
        lines = section.text.rstrip().split("\n")
        parts.append("\n".join([title, *(printable_line(without_secrets(line)) for line in lines)]))
    return "\n\n".join(parts) + "\n"
