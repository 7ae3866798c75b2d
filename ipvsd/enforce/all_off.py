"""Reads whether estimation is off everywhere, where ip_vs does not show what its ticks do."""

from typing import AbstractSet, Optional, Set

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel.dialects import OFF
from ipvsd.model import Identity, Policy, Scope


class AllOff:
    """A reader of the switches of all namespaces; close() ends its process."""

    def __init__(self, policy: Policy, root: str) -> None:
        """Take the policy: what it excludes is not entered. Raises OSError."""
        self._complete = not policy.exclusions
        self._before: Optional[Set[Identity]] = None
        enforcer = Enforcer(root)
        self._reader: NamespaceReader[str] = NamespaceReader(
            policy._replace(scope=Scope.ALL), root, lambda: enforcer.read(RUN_ESTIMATION).value
        )

    def begin(self) -> None:
        """Read the switches when a watch of the ticks begins. Raises GuardError."""
        self._before = self._off()

    def proves(self, timers: Optional[AbstractSet[bytes]]) -> bool:
        """Return whether no tick since then can have done any work, by the timers that ticked.

        Each namespace has one timer: if more have ticked than namespaces were found, nothing leads
        to one of them. Raises GuardError.
        """
        after = self._off()
        if self._before is None or after is None or timers is None:
            return False
        return len(timers) <= len(self._before | after)

    def _off(self) -> Optional[Set[Identity]]:
        """Return all namespaces if each shows that estimation is off, else None.

        Those of other user namespaces show nothing before Linux 6.10.
        """
        found = self._reader.read()
        off = self._complete and {value for _, value in found} == {OFF}
        return {namespace.identity for namespace, _ in found} if off else None

    def close(self) -> None:
        """End the process."""
        self._reader.close()
