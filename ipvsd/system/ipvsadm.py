"""Asks ipvsadm(8) for the totals of each service and real server, and parses its output.

The kernel gives these only by netlink and getsockopt(2), which take the lock of the IPVS
configuration: the daemon never asks for them.
"""

import os
import re
import shutil
from typing import List, NamedTuple, Optional, Tuple

from ipvsd.model import Exit, GuardError
from ipvsd.system import programs

# Where a program for root may be, though a cron job has a shorter PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_LIST = ("--list", "--numeric", "--exact", "--stats")
# print_service_entry() in ipvsadm.c: the protocol and address of a service, or "FWM", a mark and
# for IPv6 a word more; "->" and the address of a real server; then five numbers with blanks before.
_ROW = re.compile(
    r"(?:(?P<protocol>[A-Z]+) +(?P<service>\S+(?: IPv6)?)| +-> (?P<server>\S+))"
    r" +(?P<numbers>\d+(?: +\d+){4}) *",
    re.ASCII,
)


class Totals(NamedTuple):
    """What one service or real server has counted until the last estimation run."""

    connections: int
    packets_in: int
    packets_out: int
    bytes_in: int
    bytes_out: int


class RealServer(NamedTuple):
    """A real server of a service."""

    address: str
    totals: Totals


class Service(NamedTuple):
    """A virtual service; the address of a firewall mark is its number."""

    protocol: str
    address: str
    totals: Totals
    real_servers: Tuple[RealServer, ...] = ()


def check() -> str:
    """Return the path of ipvsadm. Raises GuardError where there is none."""
    path = shutil.which("ipvsadm", path=_PATH)
    if path is None:
        message = (
            "ipvsadm: not found, and only it shows the totals of services; install the package "
            "ipvsadm"
        )
        raise GuardError(message, Exit.CANNOT_TELL)
    return path


def services(path: str) -> Optional[List[Service]]:
    """Return the services of the process's namespace, None if ipvsadm fails; ip_vs is loaded."""
    text = programs.output([path, *_LIST])
    return None if text is None else parse(text)


def parse(text: str) -> List[Service]:
    """Return the services in the output of ipvsadm."""
    found: List[Service] = []
    servers: List[RealServer] = []
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        if row is None:
            continue  # the headings
        totals = Totals(*map(int, row.group("numbers").split()))
        if row.group("service"):
            _end(found, servers)
            found.append(Service(row.group("protocol"), row.group("service"), totals))
        else:
            servers.append(RealServer(row.group("server"), totals))
    _end(found, servers)
    return found


def _end(found: List[Service], servers: List[RealServer]) -> None:
    """Give the last service its real servers."""
    if found:
        found[-1] = found[-1]._replace(real_servers=tuple(servers))
    servers.clear()
