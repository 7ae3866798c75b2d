"""Decides how memory and results are shown: plain data for JSON, words for people."""

import collections
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional

from ipvsd.config import until
from ipvsd.config.choices import Choice
from ipvsd.config.policy import about
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce import exposure
from ipvsd.enforce.histogram import BOUNDS_NS, Histogram
from ipvsd.model import (
    HOST_NAME,
    NS_PER_US,
    RIGHT,
    KeyStatus,
    Mode,
    Namespace,
    NamespaceResult,
    Policy,
    State,
)
from ipvsd.status.severity import SEVERITY, worst
from ipvsd.text import format_duration, iso_time, plural

if TYPE_CHECKING:  # the commands need no memory
    from ipvsd.enforce.memory import Memory
    from ipvsd.enforce.namespace_state import NamespaceState

# Version of the documents that `status --json` prints and status.json holds: raised when a
# field changes its meaning or is removed, not when one is added.
STATUS_VERSION = 2


def state_word(keys: Iterable[KeyStatus]) -> str:
    """Return the state of a namespace in a word: the worst of its keys', `off` if all is well."""
    keys = tuple(keys)
    key = worst(keys)
    if key is None:
        return str(State.EXCLUDED.value)
    if key.state is not State.AS_WANTED:
        return str(key.state.value)
    estimation = next((key for key in keys if key.setting.key == RUN_ESTIMATION), None)
    if estimation is None:
        return str(key.state.value)
    return {"0": "off", "1": "on"}.get(estimation.setting.wanted, "as wanted")


def is_right(keys: Iterable[KeyStatus]) -> bool:
    """Whether all keys are as wanted."""
    return all(key.state in RIGHT for key in keys)


def is_absent(keys: Iterable[KeyStatus]) -> bool:
    """Whether there is nothing to set, since ip_vs is not loaded."""
    return all(key.state is State.ABSENT for key in keys)


def severity(keys: Iterable[KeyStatus]) -> int:
    """Return a number by which namespaces are sorted, the worst first."""
    key = worst(keys)
    return SEVERITY[State.EXCLUDED if key is None else key.state]


def summary(memory: "Memory", policy: Policy) -> str:
    """Return the one sentence that `systemctl status` shows."""
    module = memory.module.value if memory.module is not None else "unknown"
    host = next(
        (ns_state for ns_state in known(memory) if ns_state.namespace.name == HOST_NAME), None
    )
    keys = host.keys if host is not None else ()
    wrong = [key for key in keys if key.state not in (*RIGHT, State.ABSENT)]
    if not policy.settings and not policy.overrides:
        text = "No sysctl is configured, nothing is guarded"
    elif wrong:
        text = "; ".join(f"{key.setting.key} is {key.state.value}" for key in wrong)
    elif memory.module is not None and not memory.module.loaded:
        text = f"Waiting for ip_vs ({module}) to set {plural(len(keys), 'sysctl')}"
    else:
        text = f"{plural(len(keys), 'sysctl')} as wanted, ip_vs {module}"
    own = about(policy, RUN_ESTIMATION)
    moments = [one.until_ns for one in own.settings] + [one.until_ns for one in own.overrides]
    ends = [moment for moment in moments if moment is not None]
    text += f", run_estimation chosen until {until.render(min(ends))}" if ends else ""
    mode = ", observing only" if policy.mode is Mode.OBSERVE else ""
    written = plural(sum(memory.tally.writes.values()), "write")
    loads = plural(memory.loads, "load")
    return f"{text}{mode}{_others(memory)}; {loads} seen, {written}{_last(memory)}"


def known(memory: "Memory") -> "List[NamespaceState]":
    """Return the namespaces to publish: not those whose values were removed with ip_vs.

    A contested key is so until the contest is over, although it is right for moments.
    """
    return [
        ns_state.shown if ns_state.contests else ns_state
        for ns_state in memory.namespaces.values()
        if ns_state.keys or ns_state.rule
    ]


def _others(memory: "Memory") -> str:
    """Return the states of the namespaces other than the host's, empty if there are none."""
    counts = count_states(
        ns_state.keys for ns_state in known(memory) if ns_state.namespace.name != HOST_NAME
    )
    if not counts or memory.module is None or not memory.module.loaded:
        return ""
    text = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"; {plural(sum(counts.values()), 'namespace')} more: {text}"


def count_states(namespaces: Iterable[Iterable[KeyStatus]]) -> Dict[str, int]:
    """Return how many namespaces are in each state, the worst state first."""
    # Of thousands, nearly all are alike: each combination of keys is judged only once.
    alike = collections.Counter(map(tuple, namespaces))
    ranked = sorted((severity(keys), state_word(keys), count) for keys, count in alike.items())
    counts: Dict[str, int] = {}
    for _, word, count in ranked:
        counts[word] = counts.get(word, 0) + count
    return counts


def _last(memory: "Memory") -> str:
    if memory.last_write is None or memory.last_write.reaction_ns is None:
        return ""
    return f" (last {format_duration(memory.last_write.reaction_ns)} after its event)"


def counters(memory: "Memory", now_ns: int) -> Dict[str, Any]:
    """Return what only the daemon knows, as plain data for status.json."""
    exposed_ns, runs = memory.tally.exposed_ns, memory.tally.runs_leaked
    for ns_state in memory.namespaces.values():
        if ns_state.exposure.since_ns is None:
            continue
        now = exposure.right(ns_state.exposure, now_ns)
        exposed_ns += now.closed_ns - ns_state.exposure.closed_ns
        runs += now.closed_runs - ns_state.exposure.closed_runs
    return {
        "since": memory.tally.since,
        "not_counted_usec": memory.tally.not_counted_ns // NS_PER_US,
        "loads": memory.loads,
        "writes": dict(sorted(memory.tally.writes.items())),
        "failures": memory.tally.failures,
        "events_lost": memory.events_lost,
        "exposed_usec": exposed_ns // NS_PER_US,
        "passes_leaked": runs,
        "reactions": _reactions(memory.tally.reactions),
    }


def choice_document(choice: Choice, changed_ns: Optional[int]) -> Dict[str, Any]:
    """Return a line that wants estimation on, as plain data for status.json."""
    return {
        "selector": choice.selector or None,
        "file": choice.path,
        "line": choice.number,
        "changed_usec": _usec(changed_ns),
        "until": None if choice.until_ns is None else until.render(choice.until_ns),
    }


def last_write(memory: "Memory") -> Optional[Dict[str, Any]]:
    """Return the newest value that was set, as plain data for events.json."""
    last = memory.last_write
    if last is None:
        return None
    return {
        "namespace": last.outcome.write.namespace.name,
        "key": last.outcome.write.written_key,
        "old": last.outcome.write.found,
        "new": last.outcome.after.value,
        "reason": last.outcome.write.reason.value,
        "time": iso_time(last.wall_ns),
        "reaction_usec": None if last.reaction_ns is None else last.reaction_ns // NS_PER_US,
    }


def _reactions(reactions: Histogram) -> Dict[str, Any]:
    *cumulative, count = reactions.cumulative
    return {
        "count": count,
        "sum_usec": reactions.sum_ns // NS_PER_US,
        "slowest_usec": reactions.slowest_ns // NS_PER_US if count else None,
        # A bound in microseconds, and how many reactions took no longer.
        "buckets": [[bound // NS_PER_US, n] for bound, n in zip(BOUNDS_NS, cumulative)],
    }


def within(reactions: Dict[str, Any], share: float) -> str:
    """Return a bound on the duration of a share of the reactions, of a document as above.

    None is longer than the slowest, which may be less than the bound of its bucket.
    """
    needed = share * reactions["count"]
    bounds = [bound_usec for bound_usec, count in reactions["buckets"] if count >= needed]
    if reactions["slowest_usec"] is not None:
        bounds.append(reactions["slowest_usec"])
    return format_duration(min(bounds) * NS_PER_US) if bounds else "unknown"


def namespace_document(
    result: NamespaceResult, user: Optional[str] = None, started: Optional[str] = None
) -> Dict[str, Any]:
    """Return the result of one namespace as plain data for JSON."""
    return {
        **_identity(result.namespace),
        "state": state_word(result.keys),
        "rule": result.rule or None,
        "estimators": result.estimators,
        "owner": {
            "mounts": list(result.namespace.owner.mounts),
            "cgroup": result.namespace.owner.cgroup or None,
            "container": result.namespace.owner.container or None,
            "unit": result.namespace.owner.unit or None,
            "pid": result.namespace.owner.pid or None,
            "command": result.namespace.owner.command or None,
            "links": list(result.namespace.owner.links),
            "engine": result.namespace.owner.engine or None,
            "container_name": result.namespace.owner.container_name or None,
            "part_of": result.namespace.owner.part_of or None,
            "mounts_elsewhere": [
                {"path": path, "pid": pid} for path, pid in result.namespace.owner.mounts_elsewhere
            ],
            "user": user,
            "started": started,
        },
        "keys": [
            {
                "key": key.setting.key,
                "wanted": key.setting.wanted,
                "value": key.value or None,
                "state": key.state.value,
                "detail": key.detail or None,
                "origin": key.setting.origin,
                "until": None
                if key.setting.until_ns is None
                else until.render(key.setting.until_ns),
            }
            for key in result.keys
        ],
    }


def _identity(namespace: Namespace) -> Dict[str, Any]:
    return {"name": namespace.name, "device": namespace.device, "inode": namespace.inode}


def ns_state_document(ns_state: "NamespaceState", now_ns: int) -> Dict[str, Any]:
    """Return what only the daemon knows of a namespace, as plain data for namespaces.json."""
    off_ns = ns_state.off_since_ns
    return {
        **({} if off_ns is None else {"off_since": iso_time(off_ns)}),
        "device": ns_state.namespace.device,
        "inode": ns_state.namespace.inode,
        "state": state_word(ns_state.keys),
        "keys": [_key_state(key) for key in ns_state.keys],
        "exposure": _exposure(ns_state, now_ns),
    }


def _key_state(key: KeyStatus) -> Dict[str, str]:
    """Return the state of a key, with its reason only where there is one: thousands have none."""
    detail = {"detail": key.detail} if key.detail else {}
    return {"key": key.setting.key, "state": key.state.value, **detail}


def _exposure(ns_state: "NamespaceState", now_ns: int) -> Dict[str, Any]:
    now = exposure.right(ns_state.exposure, now_ns)
    return {
        "since": iso_time(ns_state.first_wall_ns),
        "set_after_usec": _usec(ns_state.set_after_ns),
        "exposed_usec": now.closed_ns // NS_PER_US,
        "passes": now.closed_runs,
    }


def _usec(duration_ns: Optional[int]) -> Optional[int]:
    return None if duration_ns is None else duration_ns // NS_PER_US


def in_order(result: Iterable[NamespaceResult]) -> List[NamespaceResult]:
    """Return namespaces in the order in which they are shown: the host, then the worst first."""
    return sorted(
        result,
        key=lambda one: (
            one.namespace.name != HOST_NAME,
            severity(one.keys),
            -(one.estimators or 0),
            one.namespace.name,
        ),
    )
