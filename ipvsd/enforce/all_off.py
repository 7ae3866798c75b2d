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
        self._found: Set[Identity] = set()  # at the beginning or at the end
        self._off = False
        self._timers: Optional[int] = None
        enforcer = Enforcer(root)
        self._reader: NamespaceReader[str] = NamespaceReader(
            policy._replace(scope=Scope.ALL), root, lambda: enforcer.read(RUN_ESTIMATION).value
        )

    def begin(self) -> None:
        """Read the switches when a watch of the ticks begins. Raises GuardError."""
        self._found, self._off = set(), True
        self._read()

    def end(self, timers: Optional[AbstractSet[bytes]]) -> None:
        """Read them when it ends; `timers` are those that ticked, None if unknown.

        Raises GuardError.
        """
        self._read()
        self._timers = None if timers is None else len(timers)

    @property
    def proven(self) -> bool:
        """Whether no tick meanwhile can have done any work."""
        return self._complete and self._off and self._timers is not None and not self.unseen

    @property
    def unseen(self) -> int:
        """How many namespaces have a timer that ticked, and nothing leads to them.

        Each namespace has one timer.
        """
        if self._timers is None or not self._complete:
            return 0
        return max(0, self._timers - len(self._found))

    def _read(self) -> None:
        # Namespaces of other user namespaces show no value before Linux 6.10.
        found = self._reader.read()
        self._found |= {namespace.identity for namespace, _ in found}
        self._off = self._off and {value for _, value in found} == {OFF}

    def close(self) -> None:
        """End the process."""
        self._reader.close()
