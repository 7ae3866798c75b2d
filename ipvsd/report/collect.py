"""Collects what a report for support holds: from commands of ipvsd, other programs, and files."""

import glob
import os
import platform
import sys
import time
from typing import List, Sequence

from ipvsd import __version__
from ipvsd.model import NS_PER_S
from ipvsd.report import sections
from ipvsd.report.sections import Section
from ipvsd.system import programs
from ipvsd.text import iso_time, printable

# No file of the kernel that is read is larger; parameters of a module may be.
_MAX_BYTES = 64 * 1024


def report(root: str, options: Sequence[str]) -> str:
    """Return the report of this host; `options` are those before the verb of each command."""
    own = own_command()
    found = [_run([*own, *options, *command], command) for command in sections.COMMANDS]
    found += [_run(list(command), command) for command in sections.PROGRAMS]
    found.append(Section("files", "\n".join(_files(root))))
    head = [
        f"ipvs-estoff-guard {__version__}, report of {iso_time(int(time.time() * NS_PER_S))}",
        f"kernel {platform.release()} {platform.machine()}, Python {platform.python_version()}",
    ]
    return sections.render(head, found)


def own_command() -> List[str]:
    """Return how this process was started, without the arguments of ipvsd itself.

    An interpreter with its options and the package, a folder or one file: only the kernel knows.
    """
    with open("/proc/self/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    return words[: len(words) - len(sys.argv[1:])]


def _run(argv: List[str], shown: Sequence[str]) -> Section:
    ended = programs.run(argv)
    name = "ipvsd " if tuple(shown) in sections.COMMANDS else ""
    return Section(name + " ".join(shown), ended.text, ended.code)


def _files(root: str) -> List[str]:
    lines = []
    for pattern in sections.FILES:
        paths = sorted(glob.glob(os.path.join(glob.escape(root), pattern)))
        lines += [_file(path, root) for path in paths] or [f"{pattern}: does not exist"]
    return lines


def _file(path: str, root: str) -> str:
    name = printable(os.path.relpath(path, root))
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_BYTES).rstrip("\n")
    except OSError as error:
        return f"{name}: cannot be read: {error.strerror}"
    lines = text.split("\n")
    return "\n    ".join([f"{name}:", *lines]) if lines[1:] else f"{name}: {lines[0]}"
