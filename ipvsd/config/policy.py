"""Decides which namespaces are guarded, at which values, and by which rule (pure)."""

import fnmatch
import functools
import re
from typing import Callable, Dict, Iterable, Match, NamedTuple, Optional, Tuple

from ipvsd.config import sysctl_values
from ipvsd.model import CANARY_NAME, HOST_NAME, Namespace, Policy, Scope, Selector, Setting


class Rules(NamedTuple):
    """What the configuration wants for a namespace; no settings where it is excluded."""

    settings: Tuple[Setting, ...]  # run_estimation first
    excluded_by: str = ""  # the exclusion, with its file and line
    overridden_by: str = ""  # the sections [sysctl KIND:GLOB] that apply, with file and line

    @property
    def rule(self) -> str:
        """Text for status: the rule that applies instead of [sysctl]; empty if none does."""
        return f"excluded by {self.excluded_by}" if self.excluded_by else self.overridden_by


_OUT_OF_SCOPE = Rules((), excluded_by="scope = host")


def rules_for(policy: Policy, namespace: Namespace) -> Rules:
    """Return the rules for a namespace; they may change when its owner becomes known."""
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
        Setting(o.key, o.wanted, o.origin, str(o.selector), o.until_ns)
        for o in winners.values()
        if o.wanted is not None
    ]
    sections = dict.fromkeys(_with_origin(override.selector) for override in winners.values())
    return Rules(in_order(settings), overridden_by=", ".join(sections))


def depends_on_owner(policy: Policy) -> bool:
    """Return whether the rules for a namespace depend on its owner or its names."""
    return bool(policy.exclusions or policy.overrides)


def about(policy: Policy, key: str) -> Policy:
    """Return a policy that has only the settings and overrides of one key, and what steers it."""
    keys = {key, *(one.key for one in policy.settings if one.steers)}
    return policy._replace(
        settings=tuple(setting for setting in policy.settings if setting.key in keys),
        overrides=tuple(override for override in policy.overrides if override.key in keys),
    )


def in_order(settings: Iterable[Setting]) -> Tuple[Setting, ...]:
    """Return settings sorted: run_estimation first, since this one stalls CPUs."""
    return tuple(sorted(settings, key=lambda s: (s.key != sysctl_values.RUN_ESTIMATION, s.key)))


def _with_origin(selector: Selector) -> str:
    return f"{selector} ({selector.origin})"


# NAME_MAX, at which 0.2.0 cut names.
_MAX_NAME = 255


def _names(namespace: Namespace) -> Tuple[str, ...]:
    owner = namespace.owner
    paths = owner.mounts + owner.links
    names = (namespace.name, *paths, *(path.rpartition("/")[2] for path in paths))
    return (*names, _name_in_0_2_0(namespace))


def _name_in_0_2_0(namespace: Namespace) -> str:
    """Return the name that version 0.2.0 gave, which rules of its time may mean; empty for none.

    It knew no links and no names of engines. The names that it took from mounts are names still,
    those of mounts in other mount namespaces excepted.
    """
    owner = namespace.owner
    if owner.mounts or namespace.name == CANARY_NAME:
        return ""
    if owner.container:
        return f"container {owner.container[:12]}"
    if owner.unit:
        return owner.unit[:_MAX_NAME]
    return f"pid {owner.pid} ({owner.command})" if owner.pid else f"net:[{namespace.inode}]"


# The texts that a selector of each kind is compared with. An empty text is unknown: nothing matches
# it.
_HINTS: Dict[str, Callable[[Namespace], Tuple[str, ...]]] = {
    "name": _names,
    "cgroup": lambda namespace: (namespace.owner.cgroup,),
    "container": lambda namespace: (namespace.owner.container,),
    "unit": lambda namespace: (namespace.owner.unit,),
}
KINDS = tuple(_HINTS)


def matches(selector: Selector, namespace: Namespace) -> bool:
    """Return whether a selector matches a namespace.

    Only `name:host` matches the host's namespace, and it matches no other. An administrator who
    writes `name:*` means namespaces with a name, and must not exclude the host by mistake.
    """
    means_host = (selector.kind, selector.pattern) == ("name", HOST_NAME)
    if means_host or namespace.name == HOST_NAME:
        return means_host and namespace.name == HOST_NAME
    match = glob(selector.pattern)
    return any(hint and match(hint) for hint in _HINTS[selector.kind](namespace))


# PATH_MAX: a longer pattern can match nothing, and would only take time.
_MAX_PATTERN = 4096


@functools.lru_cache(maxsize=1024)
def glob(pattern: str) -> Callable[[str], Optional[Match[str]]]:
    """Return the match function of a glob as fnmatch defines it, case-sensitive.

    Raises ValueError with a reason. fnmatch itself is not used: before Python 3.9 it backtracks to
    every earlier star, so that three stars and a hostile cgroup path take seconds. Here each star
    ends at the first place where the text after it matches, and is never tried again. A star in
    brackets counts as a star too.
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
