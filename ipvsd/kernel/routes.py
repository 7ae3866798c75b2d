"""Asks the kernel whether an address is one of this host, through rtnetlink(7) (acts)."""

import os
import socket
import struct
from typing import Optional

# linux/netlink.h and linux/rtnetlink.h.
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ROUTE = struct.Struct("=8BI")  # family, lengths of destination and source, tos, ..., type, flags
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_ERROR = struct.Struct("=i")
_RTM_NEWROUTE, _RTM_GETROUTE, _NLMSG_ERROR = 24, 26, 2
_NLM_F_REQUEST = 1
_RTA_DST = 1
_RTN_LOCAL = 2
_TYPE = 7  # the index in _ROUTE

_LIMIT_S = 5.0


def is_own(address: str) -> Optional[bool]:
    """Return whether packets to an IPv4 or IPv6 address stay on this host; None if unknown.

    The answer is the kernel's route, as `ip route get` shows it. Binding a socket to the address
    would prove nothing: with net.ipv4.ip_nonlocal_bind = 1, usual on load balancers, it succeeds
    for every address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        destination = socket.inet_pton(family, address)
        return _route_type(family, destination) == _RTN_LOCAL
    except (OSError, struct.error):
        return None


def _route_type(family: int, destination: bytes) -> int:
    """Return the type of the route to an address. Raises OSError, also when there is none."""
    body = _ROUTE.pack(family, 8 * len(destination), 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(destination), _RTA_DST) + destination
    request = _HEADER.pack(_HEADER.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_LIMIT_S)
        kernel.sendto(request, (0, 0))
        answer = kernel.recv(64 * 1024)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _RTM_NEWROUTE:
        number = -_ERROR.unpack_from(answer, _HEADER.size)[0] if kind == _NLMSG_ERROR else 0
        raise OSError(number, os.strerror(number))
    return int(_ROUTE.unpack_from(answer, _HEADER.size)[_TYPE])
