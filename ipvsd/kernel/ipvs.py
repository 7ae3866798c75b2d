"""Reads from IPVS of one network namespace its services, its counters and its kind of estimator."""

import itertools
import os
import struct
from typing import Iterable, NamedTuple, Optional

from ipvsd.kernel import dialects, ipvs_counters
from ipvsd.kernel.dialects import Dialect
from ipvsd.kernel.ipvs_counters import Readout
from ipvsd.kernel.sysctl import Sysctls

# Three lines of heading, then one line for each service and real server (ip_vs_info_seq_show,
# net/netfilter/ipvs/ip_vs_ctl.c).
_TABLE = "proc/thread-self/net/ip_vs"
_HEADING_LINES = 3
_REAL_SERVER = b"  ->"
_STATS = "proc/thread-self/net/ip_vs_stats_percpu"
# Some 3,000 lines: enough to show which namespaces are the worst. The kernel formats every line
# for each reader, so more is read only where the exact number matters.
_LOWER_BOUND_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024

_SO_NETNS_COOKIE = 71  # asm-generic/socket.h, Linux 5.14
_COOKIE = struct.Struct("Q")


class Facts(NamedTuple):
    """Facts about the calling thread's namespace; None where a fact is unknown."""

    estimators: Optional[int] = None  # one for each service and each of its real servers
    cookie: Optional[int] = None  # a number that no other namespace gets until the next boot


def facts(root: str = "/", exactly: bool = False, with_cookie: bool = True) -> Facts:
    """Return the facts; a large number of estimators is only a lower bound, unless `exactly`.

    Takes no lock of IPVS, unlike getsockopt(2) and netlink: where threads of the kernel hang on
    such a lock, the guard would hang too.
    """
    return Facts(
        _estimators(os.path.join(root, _TABLE), exactly), _cookie() if with_cookie else None
    )


class Table(NamedTuple):
    """The number of virtual services of a namespace, and of all their real servers."""

    services: int
    real_servers: int


def table(root: str = "/") -> Optional[Table]:
    """Return the numbers for the calling thread's namespace; None where it has no IPVS table."""
    try:
        with open(os.path.join(root, _TABLE), "rb") as file:
            return parse_table(file)
    except OSError:
        return None


def parse_table(lines: Iterable[bytes]) -> Table:
    """Return the numbers of services and real servers in the lines of /proc/net/ip_vs."""
    total = real_servers = 0
    for line in itertools.islice(lines, _HEADING_LINES, None):
        total += 1
        real_servers += line.startswith(_REAL_SERVER)
    return Table(total - real_servers, real_servers)


def counters(root: str = "/") -> Optional[Readout]:
    """Return the counters of the calling thread's namespace; None where IPVS shows none."""
    try:
        with open(os.path.join(root, _STATS), encoding="ascii", errors="replace") as file:
            return ipvs_counters.parse(file.read())
    except OSError:
        return None


def dialect(root: str = "/") -> Optional[Dialect]:
    """Return the dialect of the loaded ip_vs; None without ip_vs, or if it switches nothing."""
    with Sysctls(root) as sysctls:
        return dialects.of({key for key in dialects.MARKS if sysctls.has(key)})


def has_kthreads(root: str = "/") -> bool:
    """Return whether the loaded ip_vs estimates in kernel threads."""
    with Sysctls(root) as sysctls:
        return sysctls.has(dialects.EST_NICE)


def _estimators(path: str, exactly: bool) -> Optional[int]:
    lines = read = 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while exactly or read < _LOWER_BOUND_BYTES:
                data = os.read(descriptor, _READ_BYTES)
                if not data:
                    break
                lines += data.count(b"\n")
                read += len(data)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return max(0, lines - _HEADING_LINES)


def _cookie() -> Optional[int]:
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            data = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE.size)
    except OSError:
        return None
    return int(_COOKIE.unpack(data)[0])


_POSSIBLE = "sys/devices/system/cpu/possible"


def possible_cpus(root: str = "/") -> Optional[int]:
    """Return how many CPUs are possible, None where the kernel does not show it."""
    try:
        with open(os.path.join(root, _POSSIBLE), encoding="ascii") as file:
            return parse_cpu_list(file.read())
    except (OSError, ValueError):
        return None


def parse_cpu_list(text: str) -> int:
    """Return how many CPUs are in a list such as `0-3,8`. Raises ValueError."""
    count = 0
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        count += int(last) - int(first) + 1 if dash else len([int(first)])
    return count
