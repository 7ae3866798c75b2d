"""Reads from BTF where the members of the kernel's structures are.

BTF describes the types of a kernel; its format is in Documentation/bpf/btf.rst. The types and
strings of a module are numbered on from the kernel's own.
"""

import os
import struct
from typing import Dict, Iterable

_FOLDER = "sys/kernel/btf"
_KERNEL = "vmlinux"

_STRUCT = 4
# include/uapi/linux/btf.h: how many bytes follow a type of each kind: always, and for each member.
_SIZES = {
    1: (4, 0),  # int
    3: (12, 0),  # array
    _STRUCT: (0, 12),
    5: (0, 12),  # union
    6: (0, 8),  # enum
    13: (0, 8),  # prototype of a function
    14: (4, 0),  # variable
    15: (0, 12),  # section
    17: (4, 0),  # declaration tag
    19: (0, 12),  # enum of 64 bits
}
_TYPE = struct.Struct("<III")
_HEADER_LENGTH_AT = 4
_TYPES_AT = 8  # offset and length, in the header
_STRINGS_AT = 16
# Ten times the size of a kernel's BTF.
_MAX_BYTES = 64 * 1024 * 1024

Members = Dict[str, Dict[str, int]]


def members(root: str, module: str, structs: Iterable[str]) -> Members:
    """Return the offsets of the members of each structure, in bytes from its beginning.

    The types of the module are searched first, then those of the kernel itself. A structure that
    neither has is left out. Raises OSError, also where the kernel has no BTF, and ValueError where
    a file is not valid BTF.
    """
    wanted = set(structs)
    kernel = _read(root, _KERNEL)
    try:
        own = _read(root, module)
    except FileNotFoundError:  # the module is built in
        return parse(kernel, b"", wanted)
    found = parse(own, _strings(kernel), wanted)
    found.update(parse(kernel, b"", wanted - set(found)))
    return found


def kernel_members(root: str, structs: Iterable[str]) -> Members:
    """Return the same of the kernel's own types alone. Raises OSError and ValueError."""
    return parse(_read(root, _KERNEL), b"", structs)


def parse(data: bytes, before: bytes, wanted: Iterable[str]) -> Members:
    """Return the offsets of the members of the wanted structures in the data of a BTF file.

    `before` holds the kernel's strings if the file is a module's, whose own strings follow them.
    Raises ValueError when the data is not BTF, or is cut short.
    """
    try:
        return _parse(_section(data, _TYPES_AT), before + _strings(data), wanted)
    except struct.error as error:
        raise ValueError(f"is not BTF: {error}") from error


def _parse(types: bytes, strings: bytes, wanted: Iterable[str]) -> Members:
    # A type is recognized by the offset of its name: comparing 100,000 names would take too long.
    places = {strings.find(f"\0{name}\0".encode("ascii")) + 1: name for name in wanted}
    places.pop(0, None)  # not found
    found: Members = {}
    at = 0
    while at < len(types) and len(found) < len(places):
        name_at, info, _ = _TYPE.unpack_from(types, at)
        at += _TYPE.size
        kind, count = info >> 24 & 0x1F, info & 0xFFFF
        fixed, each = _SIZES.get(kind, (0, 0))
        if kind == _STRUCT and name_at in places:
            found[places[name_at]] = {
                _text(strings, member): (bits & 0xFFFFFF) // 8  # above it, a bit field's size
                for member, _, bits in _TYPE.iter_unpack(types[at : at + count * each])
            }
        at += fixed + count * each
    return found


def _read(root: str, name: str) -> bytes:
    with open(os.path.join(root, _FOLDER, name), "rb") as file:
        return file.read(_MAX_BYTES)


def _strings(data: bytes) -> bytes:
    return _section(data, _STRINGS_AT)


def _section(data: bytes, field: int) -> bytes:
    (header,) = struct.unpack_from("<I", data, _HEADER_LENGTH_AT)
    offset, length = struct.unpack_from("<II", data, field)
    return data[header + offset :][:length]


def _text(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(b"\0", offset)].decode("ascii", "replace")
