"""What the parts of the daemon share: configuration, memory, and events that are not logged yet."""

from typing import Any, Dict, List, Optional, Tuple

from ipvsd.config.parser import Config
from ipvsd.enforce.memory import Memory
from ipvsd.journal.events import Event
from ipvsd.model import KeyStatus, Module, Namespace, Policy, Scope, State


class DaemonState:
    """One object for all parts; only the loop's thread touches it."""

    def __init__(self, config: Config, host: Namespace) -> None:
        self.config = config
        self.host = host
        self.memory = Memory()
        self.new_events: List[Event] = []
        # From the start or a SIGHUP until everything has been checked, which READY=1 then says.
        self.reloading = True
        # Of the samples, as plain data; None where the configuration asks for none.
        self.sampling: Optional[Dict[str, Any]] = None

    @property
    def policy(self) -> Policy:
        """The policy of the running configuration."""
        return self.config.policy

    @property
    def loaded(self) -> bool:
        """Whether ip_vs was loaded at the last check."""
        return self.memory.module is not None and self.memory.module.loaded

    @property
    def looks_for_others(self) -> bool:
        """Whether namespaces other than the host's can have values to set, once ip_vs is loaded."""
        has_others = self.host.inode != 0  # a kernel without CONFIG_NET_NS has none
        wanted = {setting.key for setting in self.policy.settings}
        wanted |= {override.key for override in self.policy.overrides}
        supported = not wanted or bool(wanted - self.memory.unsupported)
        return self.policy.scope is Scope.ALL and has_others and supported

    @property
    def guards_others(self) -> bool:
        """Whether namespaces other than the host's can have values to set now."""
        return self.loaded and self.looks_for_others

    @property
    def loads_into_others(self) -> bool:
        """Whether ip_vs is being loaded, and so added to one namespace after the other."""
        return self.memory.module is Module.COMING and self.looks_for_others

    @property
    def host_waits(self) -> bool:
        """Whether ip_vs was not there in the host's namespace at the last check."""
        there = any(key.state not in (State.ABSENT, State.LOADING) for key in self.host_keys)
        return not self.loaded and not (self.loads_into_others and there)

    @property
    def host_keys(self) -> Tuple[KeyStatus, ...]:
        """The keys of the host's namespace as the last check left them."""
        host = self.memory.namespaces.get(self.host.identity)
        return host.keys if host is not None else ()
