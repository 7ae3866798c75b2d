"""Whether estimation is off, by the values and by what the estimator does; proof for people."""

from enum import Enum
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.enforce.exposure import PERIOD_NS
from ipvsd.kernel.ipvs_counters import Readout
from ipvsd.kernel.netns_owner import describe
from ipvsd.model import NS_PER_US, Exit, KeyStatus, NamespaceResult, State
from ipvsd.status import documents
from ipvsd.status.severity import exit_code

# Two whole periods of estimation lie in it, whenever the first of them begins.
WATCH_NS = 2 * PERIOD_NS + PERIOD_NS // 2

# Nobody can switch it off there, or the configuration does not want that.
_EXCUSED = (State.HIDDEN, State.READ_ONLY, State.EXCLUDED, State.ABSENT, State.GONE)


class Totals(Enum):
    """What the totals did, that only estimation moves, while the counters of single CPUs grew."""

    STILL = "stand still while the CPUs count"
    MOVED = "move"
    NO_TRAFFIC = "no traffic that could tell"
    UNKNOWN = "cannot be read"


class WatchedNamespace(NamedTuple):
    """One namespace: its value at the end, and its counters before and after the watch."""

    result: NamespaceResult
    before: Optional[Readout]
    after: Optional[Readout]


class Watch(NamedTuple):
    """What was seen of the estimator itself meanwhile."""

    elapsed_ns: int
    # Tasks called ipvs-e:*, None where estimation is done by a timer.
    kthreads: Optional[int] = None
    # Passes that did work by the namespace's inode number (None: of which one is not known), None
    # where they cannot be counted.
    runs: Optional[Mapping[Optional[int], int]] = None
    why_not_counted: str = ""


class Judgement(NamedTuple):
    """What is to be told: of each namespace that is not proven to be off, and of the whole."""

    exit_code: Exit
    problems: Sequence[str]
    notes: Sequence[str]
    summary: Sequence[str]


def totals(ns_state: WatchedNamespace) -> Totals:
    """Return what a namespace's totals did."""
    if ns_state.before is None or ns_state.after is None:
        return Totals.UNKNOWN
    if ns_state.before.estimated != ns_state.after.estimated:
        return Totals.MOVED
    grown = ns_state.after.live.since(ns_state.before.live)
    return Totals.STILL if any(grown) else Totals.NO_TRAFFIC


def judge(namespaces: Sequence[WatchedNamespace], watch: Watch) -> Judgement:
    """Return whether estimation is off wherever it can and should be."""
    problems: List[str] = []
    notes: List[str] = []
    for ns_state in namespaces:
        wanted_off = _wants(ns_state.result.keys, "0")
        text = _line(ns_state, watch)
        if text and wanted_off and not _excused(ns_state.result):
            problems.append(text)
        elif text:
            notes.append(text)
    problems += _strays(namespaces, watch)
    code = exit_code(key for ns_state in namespaces for key in ns_state.result.keys)
    if code is Exit.AS_WANTED and problems:
        code = Exit.NOT_AS_WANTED
    return Judgement(code, problems, notes, _summary(namespaces, watch))


def _line(ns_state: WatchedNamespace, watch: Watch) -> str:
    """Return why a namespace is not off, empty where it is proven or said to be."""
    result = ns_state.result
    causes = [] if _is_off(result.keys) else [_state(result)]
    runs = (watch.runs or {}).get(result.namespace.inode, 0)
    if runs:
        causes.append(f"{runs} passes of estimation ran")
    elif totals(ns_state) is Totals.MOVED:
        causes.append("its totals move, so estimation runs")
    if not causes:
        return ""
    owner = describe(result.namespace.owner)
    return f"{result.namespace}: {'; '.join(causes)}" + (f" ({owner})" if owner else "")


def _state(result: NamespaceResult) -> str:
    word = documents.state_word(result.keys)
    value = next((key.value for key in result.keys if key.value), "")
    detail = next((key.detail for key in result.keys if key.detail), "")
    if word in (State.HIDDEN.value, State.READ_ONLY.value):
        detail = "another user namespace owns it, so nobody can switch it off"
    shown = f"run_estimation is {value}, {word}" if value else word
    if result.rule.startswith(shown):
        return result.rule
    return ", ".join(part for part in (shown, detail, result.rule) if part)


def _strays(namespaces: Sequence[WatchedNamespace], watch: Watch) -> Iterator[str]:
    """Yield what estimates although it belongs to no namespace that may."""
    known = {ns_state.result.namespace.inode for ns_state in namespaces}
    everywhere = all(_is_off(ns_state.result.keys) for ns_state in namespaces)
    for inode, count in (watch.runs or {}).items():
        if inode is None and everywhere:
            yield f"kernel: {count} passes of estimation ran although it is off everywhere"
        elif inode is not None and inode not in known:
            yield (
                f"net:[{inode}]: {count} passes of estimation ran, but nothing leads to this "
                "namespace: no process, mount or open descriptor that may be seen"
            )
    if watch.kthreads and everywhere:
        yield f"kernel: {watch.kthreads} tasks ipvs-e:* run although estimation is off everywhere"


def _summary(namespaces: Sequence[WatchedNamespace], watch: Watch) -> List[str]:
    off = [ns_state for ns_state in namespaces if _is_off(ns_state.result.keys)]
    words: Dict[Totals, int] = {}
    for ns_state in off:
        words[totals(ns_state)] = words.get(totals(ns_state), 0) + 1
    moved = ", ".join(f"{words[word]} {word.value}" for word in Totals if word in words)
    lines = [
        f"method 1, the values: {len(off)} of {len(namespaces)} namespaces are off",
        f"method 2, the totals of those: {moved or 'none'}",
    ]
    if watch.kthreads is not None:
        lines.append(f"method 2, the threads: {watch.kthreads} tasks ipvs-e:*")
    if watch.runs is not None:
        count = sum(watch.runs.values())
        lines.append(
            f"method 2, the passes: {count} that did work in {watch.elapsed_ns / 1e9:.1f} s"
        )
    else:
        lines.append(f"method 2, the passes: not counted ({watch.why_not_counted})")
    return lines


def document(
    namespaces: Sequence[WatchedNamespace], watch: Watch, judgement: Judgement
) -> Dict[str, Any]:
    """Return all of it as plain data for JSON."""
    return {
        "as_wanted": judgement.exit_code is Exit.AS_WANTED,
        "watched_usec": watch.elapsed_ns // NS_PER_US,
        "kthreads": watch.kthreads,
        "passes": None if watch.runs is None else sum(watch.runs.values()),
        "problems": list(judgement.problems),
        "notes": list(judgement.notes),
        "namespaces": [
            dict(
                documents.namespace_document(ns_state.result),
                totals=totals(ns_state).name.lower(),
                passes=None
                if watch.runs is None
                else watch.runs.get(ns_state.result.namespace.inode, 0),
            )
            for ns_state in namespaces
        ],
    }


def _is_off(keys: Iterable[KeyStatus]) -> bool:
    return any(key.value == "0" for key in keys)


def _wants(keys: Iterable[KeyStatus], value: str) -> bool:
    return any(key.setting.wanted == value for key in keys)


def _excused(result: NamespaceResult) -> bool:
    return all(key.state in _EXCUSED for key in result.keys)
