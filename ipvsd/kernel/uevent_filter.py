"""Builds a filter for a uevent socket and attaches it: the kernel drops all other uevents."""

import array
import socket
import struct

# Lengths of: add; move, bind; remove, change, online, unbind; offline (lib/kobject_uevent.c,
# kobject_actions).
_ACTION_LENGTHS = (3, 4, 6, 7)

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# Classic BPF (linux/filter.h): each instruction is a code, two jumps and an operand.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_BYTE, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x15, 0x06
_ALL = 0xFFFFFFFF


def only_about(path: str) -> bytes:
    """Return a filter program that accepts only the kernel's uevents about one device.

    The text of a uevent begins with ACTION@PATH and a zero byte (lib/kobject_uevent.c,
    alloc_uevent_skb); `path` is the path below /sys. The program compares it at the offset that
    follows from each length of an action.
    """
    wanted = b"@" + path.encode("ascii") + b"\0"
    program = []
    for start in _ACTION_LENGTHS:
        for number, byte in enumerate(wanted):
            to_next_length = 2 * (len(wanted) - number) - 1
            program.append((_LOAD_BYTE, 0, 0, start + number))
            program.append((_JUMP_IF_EQUAL, 0, to_next_length, byte))
        program.append((_RETURN, 0, 0, _ALL))
    program.append((_RETURN, 0, 0, 0))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def attach(receiver: socket.socket, program: bytes) -> None:
    """Attach a filter program to a socket, in place of any earlier one.

    Raises OSError.
    """
    kept = array.array("B", program)  # the kernel copies it in the call
    address, size = kept.buffer_info()
    description = struct.pack("@HP", size // _INSTRUCTION.size, address)  # struct sock_fprog
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, description)
