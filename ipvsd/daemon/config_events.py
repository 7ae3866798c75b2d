"""Decides what is logged about a configuration (pure)."""

from typing import List, Optional

from ipvsd.config.parser import Config
from ipvsd.journal import events
from ipvsd.journal.events import Event, Kind
from ipvsd.model import Scope

# A file that is no configuration at all has a warning for each of its lines.
_WARNINGS_MAX = 20


def guarding(config: Config) -> str:
    """Return what a configuration guards, in words."""
    policy = config.policy
    keys = ", ".join(f"{setting.key}={setting.wanted}" for setting in policy.settings)
    scope = "every namespace" if policy.scope is Scope.ALL else "the host's namespace"
    return f"mode {policy.mode.value}, guarding {keys or 'nothing'} in {scope}"


def misplaced(in_hosts: Optional[bool]) -> List[Event]:
    """Return an event if the daemon is not in the host's namespace (None if that is unknown)."""
    if in_hosts is not False:
        return []
    text = "guard: runs in another network namespace than pid 1 and takes its own for the host's, "
    text += "so that rules for `host` do not reach pid 1's; start it in pid 1's (hostNetwork: true)"
    return [events.plain(Kind.MISPLACED, text)]


def warnings(config: Config) -> List[Event]:
    """Return an event for each warning, up to a number of them."""
    shown, rest = config.warnings[:_WARNINGS_MAX], config.warnings[_WARNINGS_MAX:]
    more = [f"configuration: {len(rest)} more warnings; see: ipvsd config --check"] if rest else []
    return [events.plain(Kind.CONFIG_WARNING, text) for text in [*shown, *more]]
