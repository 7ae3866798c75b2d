"""IPVS as one network namespace shows it: how many services, and which kind of estimator."""

import os
import socket
import struct
from typing import NamedTuple, Optional

# linux/ip_vs.h: IP_VS_BASE_CTL is 64 + 1024 + 64, IP_VS_SO_GET_INFO the one behind it.
_IP_VS_SO_GET_INFO = 64 + 1024 + 64 + 1
_GET_INFO = struct.Struct("3I")  # struct ip_vs_getinfo: version, size, num_services
_SO_NETNS_COOKIE = 71  # asm-generic/socket.h, Linux 5.14
_COOKIE = struct.Struct("Q")


class Facts(NamedTuple):
    """What a socket tells of the namespace that it was opened in; None where it can't be told."""

    services: Optional[int]  # virtual services; real servers are not counted
    cookie: Optional[int]  # a number that no other namespace has or will have until the next boot


def facts() -> Facts:
    """Return the facts of the calling thread's namespace at the cost of three system calls.

    Not from /proc/net/ip_vs, which the kernel writes line by line for every service.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            cookie = _ask(probe, socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE)
            return Facts(_ask(probe, socket.IPPROTO_IP, _IP_VS_SO_GET_INFO, _GET_INFO), cookie)
    except OSError:
        return Facts(None, None)  # no IPv4, or a sandbox without AF_INET


def has_kthreads(root: str = "/") -> bool:
    """Whether the loaded ip_vs estimates in kthreads (Linux 6.2, f0be83d54217) and not in timers.

    Told by the sysctl that came with them, never by a version.
    """
    return os.path.exists(os.path.join(root, "proc/sys/net/ipv4/vs/est_nice"))


def _ask(probe: socket.socket, level: int, option: int, answer: struct.Struct) -> Optional[int]:
    """Return the last number of an option's answer, None when the kernel does not give it."""
    try:
        data = probe.getsockopt(level, option, answer.size)
    except OSError:
        return None
    return int(answer.unpack(data)[-1]) if len(data) == answer.size else None
