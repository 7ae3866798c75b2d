"""Reads the totals of services in every namespace, and of which time they are."""

import functools
import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

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


def read(policy: Policy, root: str) -> List[ServiceTotals]:
    """Return the totals in each namespace that has services, the host's first.

    Raises GuardError without root or without ipvsadm. Where ip_vs is not loaded, ipvsadm would load
    it: the caller has to see to that.
    """
    if os.geteuid() != 0:
        raise GuardError("stats --services: needs root, as ipvsadm does", Exit.NOT_PERMITTED)
    path = ipvsadm.check()
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
