"""BTF files as the kernel and its modules show them, with structures that a test chooses."""

import struct


def made_btf(*structs, strings=b"", before=0):
    """Make a BTF file: an int, a function's prototype and the structures."""
    names = bytearray(b"\0" + strings)

    def place(name):
        names.extend(name.encode() + b"\0")
        return before + len(names) - len(name) - 1

    types = struct.pack("<IIII", place("int"), 1 << 24, 4, 0x20)
    types += struct.pack("<III", 0, 13 << 24 | 2, 1) + struct.pack("<IIII", 0, 1, 0, 1)
    for name, members in structs:
        types += struct.pack("<III", place(name), 4 << 24 | len(members), 64)
        for member, offset in members.items():
            types += struct.pack("<III", place(member), 1, offset * 8)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    return header + types + bytes(names)
