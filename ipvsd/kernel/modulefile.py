"""The file of ip_vs on disk: what it has, told without loading it."""

import gzip
import importlib
import lzma
import os
import re
import subprocess
import zlib
from typing import Any, Callable, Dict, Optional, Sequence

from ipvsd.core.checks.kernel import ModuleFile

_FOLDERS = ("lib/modules", "usr/lib/modules")
_NAME = re.compile(r"(?:.*/)?ip_vs\.ko(\.gz|\.xz|\.zst)?")
# procnames of the sysctls in vs_vars[] (net/netfilter/ipvs/ip_vs_ctl.c): strings in the module,
# whether or not it is stripped. The second came with the kthreads (Linux 6.2, f0be83d54217).
_SETTING = b"run_estimation\0"
_KTHREADS = b"est_nice\0"
# Ten times a module with all its debugging information: what is larger is no ip_vs.
_MAX_BYTES = 128 * 1024 * 1024
# modules.dep of a distribution has some 500 kB.
_MAX_LIST_BYTES = 16 * 1024 * 1024
# Python has it from 3.14 on.
_ZSTD_MODULE = "compression.zstd"
_ZSTD_COMMANDS = (("zstd", "-dcq"), ("zstdcat",))


def inspect(root: str, release: str) -> ModuleFile:
    """Return what the module of a kernel release has; never raises for what may be on a disk."""
    for folder in _FOLDERS:
        base = os.path.join(root, folder, release)
        name = _listed(os.path.join(base, "modules.dep"))
        if name is not None:
            return _inspect_file(os.path.join(base, name))
        if _listed(os.path.join(base, "modules.builtin")) is not None:
            return ModuleFile(built_in=True, error="it is built into the kernel")
    if not any(os.path.isdir(os.path.join(root, folder, release)) for folder in _FOLDERS):
        return ModuleFile(error=f"there is no folder /lib/modules/{release}")
    return ModuleFile()


def parse(text: str) -> Optional[str]:
    """Return the path of ip_vs in modules.dep or modules.builtin, None if it is not in it."""
    for line in text.split("\n"):
        name = line.partition(":")[0].strip()
        if _NAME.fullmatch(name):
            return name
    return None


def _listed(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return parse(file.read(_MAX_LIST_BYTES))
    except OSError:
        return None


def _inspect_file(path: str) -> ModuleFile:
    match = _NAME.fullmatch(path)
    suffix = match.group(1) if match is not None else None
    try:
        data = _READERS[suffix](path)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        return ModuleFile(path, error=getattr(error, "strerror", None) or str(error))
    return ModuleFile(path, False, _SETTING in data, _KTHREADS in data)


def _plain(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_MAX_BYTES)


def _gzip(path: str) -> bytes:
    with gzip.GzipFile(path) as file:
        return _read(file)


def _xz(path: str) -> bytes:
    with lzma.open(path) as file:
        return _read(file)


def _zstd(path: str) -> bytes:
    """By the standard library where it can, otherwise by a child process: nothing else serves."""
    try:
        module: Any = importlib.import_module(_ZSTD_MODULE)
    except ImportError:
        return _zstd_by_command(path)
    try:
        with module.open(path) as file:
            return _read(file)
    except module.ZstdError as error:
        raise OSError(0, str(error)) from error


def _zstd_by_command(path: str) -> bytes:
    for command in _ZSTD_COMMANDS:
        try:
            return _unpacked([*command, path])
        except FileNotFoundError:
            continue
    raise OSError(0, "the command zstd is needed to unpack it")


def _unpacked(command: Sequence[str]) -> bytes:
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with child:
        assert child.stdout is not None
        data = child.stdout.read(_MAX_BYTES)
    if child.returncode != 0:
        raise OSError(0, f"{command[0]} cannot unpack it")
    return data


def _read(file: Any) -> bytes:
    data: bytes = file.read(_MAX_BYTES)
    return data


_READERS: Dict[Optional[str], Callable[[str], bytes]] = {
    None: _plain,
    ".gz": _gzip,
    ".xz": _xz,
    ".zst": _zstd,
}
