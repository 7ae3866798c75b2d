"""Which namespaces are guarded, at which values, and which rule says so."""

import fnmatch
import functools
import re
from typing import Callable, Dict, Iterable, Match, NamedTuple, Optional, Tuple

from ipvsd.config import sysctl_values
from ipvsd.model import HOST_NAME, Namespace, Policy, Scope, Selector, Setting


class Rules(NamedTuple):
    """What is to be guarded in a namespace, run_estimation first; nothing where excluded."""

    settings: Tuple[Setting, ...]
    excluded_by: str = ""  # the exclusion and where it stands
    overridden_by: str = ""  # the sections that had a say, and where they stand

    @property
    def rule(self) -> str:
        """Text for status: why it is not as in [sysctl]; empty where it is."""
        return f"excluded by {self.excluded_by}" if self.excluded_by else self.overridden_by


_OUT_OF_SCOPE = Rules((), excluded_by="scope = host")


def rules_for(policy: Policy, namespace: Namespace) -> Rules:
    """Return what the policy wants in a namespace; it may change as its owner becomes known."""
    if policy.scope is Scope.HOST and namespace.name != HOST_NAME:
        return _OUT_OF_SCOPE
    for selector in policy.exclusions:
        if matches(selector, namespace):
            return Rules((), excluded_by=_with_origin(selector))
    winners = {o.key: o for o in policy.overrides if matches(o.selector, namespace)}
    if not winners:
        return Rules(policy.settings)
    settings = [setting for setting in policy.settings if setting.key not in winners]
    settings += [
        Setting(override.key, override.wanted, override.origin, str(override.selector))
        for override in winners.values()
        if override.wanted is not None
    ]
    sections = dict.fromkeys(_with_origin(override.selector) for override in winners.values())
    return Rules(in_order(settings), overridden_by=", ".join(sections))


def about(policy: Policy, key: str) -> Policy:
    """Return what of a policy is about one key."""
    return policy._replace(
        settings=tuple(setting for setting in policy.settings if setting.key == key),
        overrides=tuple(override for override in policy.overrides if override.key == key),
    )


def in_order(settings: Iterable[Setting]) -> Tuple[Setting, ...]:
    """Sort settings: run_estimation is what stalls CPUs, so it is always written first."""
    return tuple(sorted(settings, key=lambda s: (s.key != sysctl_values.RUN_ESTIMATION, s.key)))


def _with_origin(selector: Selector) -> str:
    return f"{selector} ({selector.origin})"


def _names(namespace: Namespace) -> Tuple[str, ...]:
    mounts = namespace.owner.mounts
    return (namespace.name, *mounts, *(mount.rpartition("/")[2] for mount in mounts))


# What a selector of each kind is compared with; empty hints are unknown and match nothing.
_HINTS: Dict[str, Callable[[Namespace], Tuple[str, ...]]] = {
    "name": _names,
    "cgroup": lambda namespace: (namespace.owner.cgroup,),
    "container": lambda namespace: (namespace.owner.container,),
    "unit": lambda namespace: (namespace.owner.unit,),
}
KINDS = tuple(_HINTS)


def matches(selector: Selector, namespace: Namespace) -> bool:
    """Whether a rule means a namespace.

    The host's is meant by `name:host` alone, and that means no other: who writes `name:*`
    thinks of namespaces that were given a name, and would leave the host unguarded unawares.
    """
    means_host = (selector.kind, selector.pattern) == ("name", HOST_NAME)
    if means_host or namespace.name == HOST_NAME:
        return means_host and namespace.name == HOST_NAME
    match = glob(selector.pattern)
    return any(hint and match(hint) for hint in _HINTS[selector.kind](namespace))


# PATH_MAX: what is longer can match nothing, and would take its time.
_MAX_PATTERN = 4096


@functools.lru_cache(maxsize=1024)
def glob(pattern: str) -> Callable[[str], Optional[Match[str]]]:
    """Return the match function of a glob as fnmatch knows it, upper and lower case distinct.

    Raises ValueError with a reason. Not fnmatch's own, which goes back to every earlier star
    before Python 3.9: three stars and a cgroup path that somebody has made for it take
    seconds. Here each star ends at the first place where what follows it fits, for good. A
    star in brackets is a star.
    """
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"is a glob of more than {_MAX_PATTERN} characters")
    # translate() puts a chunk into a group, and two characters for the end of the text after it.
    first, *rest = [fnmatch.translate(chunk)[:-2] for chunk in pattern.split("*")]
    stars = [f"(?=(?P<s{i}>.*?{chunk}))(?P=s{i})" for i, chunk in enumerate(rest[:-1])]
    last = [".*" + chunk for chunk in rest[-1:]]
    try:
        return re.compile("".join([first, *stars, *last]) + r"\Z", re.DOTALL).match
    except re.error as error:
        raise ValueError(f"{pattern} is not a glob: {error}") from error
