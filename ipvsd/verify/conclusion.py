"""Decides the one sentence that `ipvsd verify` ends with (pure)."""

from enum import Enum
from typing import Dict, List, Mapping, Optional, Sequence

from ipvsd.model import Exit, NamespaceResult, State
from ipvsd.text import iso_time

# As many namespaces are named.
_NAMES_MAX = 3

_FOREIGN = (State.HIDDEN, State.READ_ONLY)


class Looked(Enum):
    """Which namespaces were looked at."""

    EVERYWHERE = "all"
    HOST_BY_CHOICE = "scope = host"
    HOST_WITHOUT_ROOT = "not root"


# What is said of the namespaces that were not looked at.
_REST = {
    Looked.EVERYWHERE: "",
    Looked.HOST_BY_CHOICE: "; the configuration leaves the others alone (scope = host)",
    Looked.HOST_WITHOUT_ROOT: "; the other namespaces were not looked at: that needs root",
}


def conclude(
    results: Sequence[NamespaceResult],
    code: Exit,
    problems: bool,
    looked: Looked,
    changed_ns: Mapping[str, Optional[int]],
) -> str:
    """Return what follows; the exit code says the same.

    `problems` says whether estimation is on somewhere against the configuration, `changed_ns` when
    the files of the configuration were last changed (since the epoch).
    """
    states = {key.state for result in results for key in result.keys}
    if code is Exit.UNSUPPORTED:
        return "estimation cannot be switched off: this kernel has no such setting"
    if code is Exit.NOT_AS_WANTED:
        return _not_as_wanted(results, problems, changed_ns)
    if code is Exit.NOT_PERMITTED or State.UNREADABLE in states:
        return "cannot tell whether estimation is off: a value could not be read"
    if states == {State.ABSENT}:
        return "ip_vs is not loaded, so nothing is estimated"
    chosen = _lines(results, "1", "1", changed_ns)
    left_out = _left_out(results)
    if chosen:
        text = f"estimation is on because the configuration says so: {chosen}"
    elif looked is not Looked.EVERYWHERE:
        text = "estimation is off in the host's namespace"
    elif left_out:
        text = "estimation is off wherever it can be and should be"
    else:
        text = "estimation is off in every namespace"
    others = {key.detail for one in results for key in one.keys if key.state is State.OFF_OTHERWISE}
    text += "".join(f" ({how})" for how in sorted(others))
    return text + "".join(f", {part}" for part in left_out) + _REST[looked]


def _not_as_wanted(
    results: Sequence[NamespaceResult], problems: bool, changed_ns: Mapping[str, Optional[int]]
) -> str:
    if problems:
        return "estimation is NOT off"
    if any(key.state is State.LOADING for result in results for key in result.keys):
        return "cannot tell yet: ip_vs is still loading"
    wanted_on = _lines(results, "1", "0", changed_ns)
    if wanted_on:
        return f"estimation is off, although the configuration wants it on: {wanted_on}"
    return "a value is not as wanted"


def _left_out(results: Sequence[NamespaceResult]) -> List[str]:
    """Return how many namespaces nobody can change, and how many a rule excludes."""
    foreign = sum(
        bool(one.keys) and all(key.state in _FOREIGN for key in one.keys) for one in results
    )
    excluded = sum(
        not one.keys or all(key.state is State.EXCLUDED for key in one.keys) for one in results
    )
    counts = ((foreign, "cannot be changed"), (excluded, "excluded"))
    return [f"{count} {text}" for count, text in counts if count]


def _lines(
    results: Sequence[NamespaceResult],
    wanted: str,
    value: str,
    changed_ns: Mapping[str, Optional[int]],
) -> str:
    """Return the lines that want a value where another or the same is found, and where that is."""
    names: Dict[str, List[str]] = {}
    for result in results:
        for key in result.keys:
            if (key.setting.wanted, key.value) == (wanted, value):
                names.setdefault(key.setting.origin, []).append(str(result.namespace))
    return "; ".join(
        f"{origin} (file changed {_time(changed_ns.get(origin.rpartition(':')[0]))}), "
        f"in {_few(found)}"
        for origin, found in names.items()
    )


def _time(wall_ns: Optional[int]) -> str:
    return "at an unknown time" if wall_ns is None else iso_time(wall_ns)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return ", ".join(names[:_NAMES_MAX]) + more
