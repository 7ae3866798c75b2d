"""Reads the totals of services in every namespace, and of which time they are."""

import functools
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel import ipvs
from ipvsd.model import Exit, GuardError, Identity, Namespace, Policy
from ipvsd.status import runtime_dir
from ipvsd.status.runtime_dir import RuntimeFolder
from ipvsd.system import ipvsadm
from ipvsd.system.ipvsadm import Service


class ServiceTotals(NamedTuple):
    """The services of one namespace."""

    namespace: Namespace
    value: str  # of run_estimation; empty if it cannot be read
    services: Optional[Sequence[Service]]  # None if they cannot be read
    # When estimation was switched off, in ISO 8601: no total is newer. None if unknown.
    off_since: Optional[str]

    @property
    def time(self) -> str:
        """Text for the time that the totals are of, as far as that is known."""
        if self.value == "0":
            since = self.off_since or "an unknown time"
            return f"estimation is off since {since}; the totals are those of that moment"
        if self.value:
            return "estimation is on; the totals are 2 s old at most"
        return "whether estimation is on is unknown, and so is the time of the totals"

    def rows(self) -> List[List[str]]:
        """Return a row for each service, and below it one for each of its real servers."""
        found = []
        for service in self.services or ():
            found.append([f"{service.protocol} {service.address}", *map(str, service.totals)])
            for each in service.real_servers:
                found.append([f"  -> {each.address}", *map(str, each.totals)])
        return found


def check() -> str:
    """Return the path of ipvsadm. Raises GuardError without root or without ipvsadm."""
    if os.geteuid() != 0:
        raise GuardError("stats --services: needs root, as ipvsadm does", Exit.NOT_PERMITTED)
    return ipvsadm.check()


def read(policy: Policy, root: str) -> List[ServiceTotals]:
    """Return the totals in each namespace that has services, the host's first.

    Raises GuardError without root or without ipvsadm. Where ip_vs is not loaded, ipvsadm would load
    it: the caller has to see to that.
    """
    path = check()
    reader = NamespaceReader(policy, root, functools.partial(_read, Enforcer(root), path, root))
    try:
        found = reader.read()
    finally:
        reader.close()
    off_since = _off_since(root)
    return [
        ServiceTotals(namespace, *(read_out or ("", None)), off_since.get(namespace.identity))
        for namespace, read_out in found
        if read_out is None or read_out[1] is None or read_out[1]
    ]


def document(found: Sequence[ServiceTotals]) -> List[Dict[str, Any]]:
    """Return the totals of all namespaces as plain data for JSON."""
    return [
        {
            "name": one.namespace.name,
            "device": one.namespace.device,
            "inode": one.namespace.inode,
            "value": one.value or None,
            "off_since": one.off_since if one.value == "0" else None,
            "services": None if one.services is None else list(map(_service, one.services)),
        }
        for one in found
    ]


def _service(service: Service) -> Dict[str, Any]:
    return {
        "protocol": service.protocol,
        "address": service.address,
        "totals": service.totals._asdict(),
        "real_servers": [
            {"address": each.address, "totals": each.totals._asdict()}
            for each in service.real_servers
        ],
    }


_ReadOut = Tuple[str, Optional[List[Service]]]


def _read(guard: Enforcer, path: str, root: str) -> _ReadOut:
    value = guard.read(RUN_ESTIMATION).value
    table = ipvs.table(root)
    if table is None or not table.services:
        return value, []
    return value, ipvsadm.services(path)


def _off_since(root: str) -> Dict[Identity, str]:
    """Return when the running daemon has switched estimation off, where it has."""
    document = RuntimeFolder(root).daemon(runtime_dir.NAMESPACES)
    found = [] if document is None else document["namespaces"]
    return {(one["device"], one["inode"]): one["off_since"] for one in found if "off_since" in one}
