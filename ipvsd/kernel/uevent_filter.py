"""A filter that the kernel puts before a uevent socket: what it holds back wakes nobody."""

import array
import socket
import struct

# Of add; move, bind; remove, change, online, unbind; offline (lib/kobject_uevent.c,
# kobject_actions).
_ACTION_LENGTHS = (3, 4, 6, 7)

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# Classic BPF (linux/filter.h): each instruction is a code, two jumps and an operand.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_BYTE, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x15, 0x06
_ALL = 0xFFFFFFFF


def only_about(path: str) -> bytes:
    """Return a program that lets the kernel's uevents about one device through, and no others.

    Their text begins with ACTION@PATH and a zero byte (lib/kobject_uevent.c, alloc_uevent_skb);
    `path` is as below /sys. It is looked for after an action of each length that there is.
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
    """Have the kernel run a program on each message for a socket, in place of any before it.

    Raises OSError.
    """
    kept = array.array("B", program)  # the kernel copies it in the call
    address, size = kept.buffer_info()
    description = struct.pack("@HP", size // _INSTRUCTION.size, address)  # struct sock_fprog
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, description)
