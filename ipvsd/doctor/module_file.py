"""Reads from the module file of ip_vs what it has, without loading the module."""

import gzip
import importlib
import lzma
import os
import re
import stat
import subprocess
import zlib
from typing import Any, BinaryIO, Callable, Dict, Iterator, Optional, Sequence, Set

from ipvsd.doctor.check_kernel import ModuleFile
from ipvsd.kernel import dialects

_FOLDERS = ("lib/modules", "usr/lib/modules")
_NAME = re.compile(r"(?:.*/)?ip_vs\.ko(\.gz|\.xz|\.zst)?")
# procnames of the sysctls in vs_vars[] (net/netfilter/ipvs/ip_vs_ctl.c): strings in the module,
# whether or not it is stripped.
_NAMES = {key: f"{key[len(dialects.TREE) :]}\0".encode("ascii") for key in dialects.MARKS}
# The function that estimates in the kernel of Alibaba Cloud Linux 2: see dialects. Modules keep
# their symbols, which kallsyms needs.
_WORK = b"\0estimation_work\0"
# In the table of imported symbols. 558f67f1340f (2026) made ip_vs use this function, for threads
# that may have ended by themselves; nothing else in ip_vs uses it.
_CALC_FIX = b"kthread_stop_put\0"
_LONGEST = max(map(len, (*_NAMES.values(), _WORK, _CALC_FIX)))
# Ten times the size of an ip_vs with all its debugging information.
_MAX_BYTES = 128 * 1024 * 1024
# The file is unpacked in pieces of this size, since it may be a decompression bomb.
_PIECE_BYTES = 256 * 1024
# Memory limit of the unpacker: `xz -9` needs this much, 30 times more than modules are packed with.
_MAX_XZ_MEMORY = 128 * 1024 * 1024
# modules.dep of a distribution has some 500 kB.
_MAX_LIST_BYTES = 4 * 1024 * 1024
# This module exists from Python 3.14 on.
_ZSTD_MODULE = "compression.zstd"
_ZSTD_COMMANDS = (("zstd", "-dcq"), ("zstdcat",))

Pieces = Iterator[bytes]


def inspect(root: str, release: str) -> ModuleFile:
    """Return what the module of a kernel release has; never raises, whatever is on the disk."""
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
    """Return the path of ip_vs in the text of modules.dep or modules.builtin, None without one."""
    for line in text.split("\n"):
        name = line.partition(":")[0].strip()
        if _NAME.fullmatch(name):
            return name
    return None


def inspect_open(path: str, file: BinaryIO) -> ModuleFile:
    """Return which sysctls are in an open module file; its suffix shows how it is compressed."""
    match = _NAME.fullmatch(path)
    unpack = _UNPACKERS[match.group(1) if match is not None else None]
    try:
        return _search(path, unpack(file))
    except (OSError, EOFError, lzma.LZMAError, zlib.error, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return ModuleFile(path, error=reason or type(error).__name__)


def _listed(path: str) -> Optional[str]:
    try:
        with _open(path) as file:
            return parse(file.read(_MAX_LIST_BYTES).decode("utf-8", "replace"))
    except OSError:
        return None


def _inspect_file(path: str) -> ModuleFile:
    try:
        with _open(path) as file:
            return inspect_open(path, file)
    except OSError as error:
        return ModuleFile(path, error=error.strerror or str(error))


def _open(path: str) -> BinaryIO:
    """Return an open regular file, without blocking: the root may be an image of others."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "is not a regular file")
    return file


def _search(path: str, pieces: Pieces) -> ModuleFile:
    keys: Set[str] = set()
    calc_fix = works = False
    read, end = 0, b""
    for piece in pieces:
        window = end + piece  # a name may lie across two pieces
        keys.update(key for key, name in _NAMES.items() if name in window)
        works = works or _WORK in window
        calc_fix = calc_fix or _CALC_FIX in window
        read += len(piece)
        if read > _MAX_BYTES:
            return ModuleFile(path, error=f"it is larger than {_MAX_BYTES} bytes")
        end = window[1 - _LONGEST :]
    dialect = dialects.of(keys)
    return ModuleFile(
        path,
        False,
        dialects.RUN_ESTIMATION in keys,
        dialect is not None and dialect.kthreads,
        calc_fix,
        dialect=dialect,
        works=works,
    )


def _plain(file: Any) -> Pieces:
    return iter(lambda: file.read(_PIECE_BYTES), b"")


def _gzip(file: BinaryIO) -> Pieces:
    with gzip.GzipFile(fileobj=file) as unpacked:
        yield from _plain(unpacked)


def _xz(file: BinaryIO) -> Pieces:
    # Not lzma.open(), which has no memory limit: a few bytes can make it allocate 4 GB.
    decompressor = lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)
    while not decompressor.eof:
        data = file.read(_PIECE_BYTES) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise EOFError("it is cut short")
        yield decompressor.decompress(data, _PIECE_BYTES)


def _zstd(file: BinaryIO) -> Pieces:
    """Yield the pieces by the standard library where it has zstd, otherwise by a child process."""
    try:
        module: Any = importlib.import_module(_ZSTD_MODULE)
    except ImportError:
        yield from _zstd_by_command(file)
        return
    try:
        with module.open(file) as unpacked:
            yield from _plain(unpacked)
    except module.ZstdError as error:
        raise OSError(0, str(error)) from error


def _zstd_by_command(file: BinaryIO) -> Pieces:
    for command in _ZSTD_COMMANDS:
        try:
            child = _started(command, file)
        except FileNotFoundError:
            continue
        with child:
            yield from _plain(child.stdout)
        if child.returncode != 0:
            raise OSError(0, f"{command[0]} cannot unpack it")
        return
    raise OSError(0, "the command zstd is needed to unpack it")


def _started(command: Sequence[str], file: BinaryIO) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


_UNPACKERS: Dict[Optional[str], Callable[[BinaryIO], Pieces]] = {
    None: _plain,
    ".gz": _gzip,
    ".xz": _xz,
    ".zst": _zstd,
}
