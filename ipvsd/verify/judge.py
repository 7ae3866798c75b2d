"""Judges whether estimation is off, by the values and by what the estimator did (pure)."""

from enum import Enum
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.enforce.exposure import PERIOD_NS
from ipvsd.kernel.ipvs_counters import Readout
from ipvsd.kernel.netns_owner import describe
from ipvsd.model import NS_PER_US, Exit, KeyStatus, NamespaceResult, State
from ipvsd.status import documents
from ipvsd.status.severity import exit_code
from ipvsd.text import plural
from ipvsd.verify.conclusion import Looked, conclude

# This time contains two whole periods of estimation, whenever the first of them begins.
WATCH_NS = 2 * PERIOD_NS + PERIOD_NS // 2

# States in which nobody can switch estimation off, or the configuration does not want it off.
_EXCUSED = (State.HIDDEN, State.READ_ONLY, State.EXCLUDED, State.ABSENT, State.GONE)


class Totals(Enum):
    """What the totals of a namespace did; only estimation updates them."""

    STILL = "stand still while the CPUs count"
    MOVED = "change"
    NO_TRAFFIC = "prove nothing without traffic"
    ZEROED = "prove nothing, since they were zeroed meanwhile (ipvsadm --zero)"
    UNKNOWN = "cannot be read"


class WatchedNamespace(NamedTuple):
    """One namespace: its values at the end, and its counters before and after the watch."""

    result: NamespaceResult
    before: Optional[Readout]
    after: Optional[Readout]


class Watch(NamedTuple):
    """What the estimator itself did during the watch."""

    elapsed_ns: int
    # Number of tasks ipvs-e:*, None where a timer estimates.
    kthreads: Optional[int] = None
    # Number of estimation runs that did work, by the inode number of the namespace (None: of an
    # unknown namespace). None where they cannot be counted.
    runs: Optional[Mapping[Optional[int], int]] = None
    why_not_counted: str = ""
    left_behind: str = ""  # a sentence about probes that could not be removed
    cpus: Mapping[int, int] = {}  # number of these runs by CPU; also where work cannot be told
    unseen: int = 0  # namespaces whose timer ticks, and that nothing leads to


class Judgement(NamedTuple):
    """The result for people: a line for each namespace that is not proven off, and a summary."""

    exit_code: Exit
    problems: Sequence[str]  # namespaces that could and should be off
    notes: Sequence[str]  # namespaces that nobody can change, or that are on by configuration
    summary: Sequence[str]
    conclusion: str  # one sentence


def totals(ns_state: WatchedNamespace) -> Totals:
    """Return what the totals of a namespace did."""
    if ns_state.before is None or ns_state.after is None:
        return Totals.UNKNOWN
    if ns_state.after.estimated.reset_since(ns_state.before.estimated):
        return Totals.ZEROED
    if ns_state.before.estimated != ns_state.after.estimated:
        return Totals.MOVED
    grown = ns_state.after.live.since(ns_state.before.live)
    return Totals.STILL if any(grown) else Totals.NO_TRAFFIC


def judge(
    namespaces: Sequence[WatchedNamespace],
    watch: Watch,
    looked: Looked = Looked.EVERYWHERE,
    changed_ns: Optional[Mapping[str, Optional[int]]] = None,
) -> Judgement:
    """Return the judgement whether estimation is off wherever it can and should be.

    `changed_ns` has the times of the files of the configuration (since the epoch).
    """
    problems: List[str] = []
    notes: List[str] = []
    for ns_state in namespaces:
        wanted_off = _wants(ns_state.result.keys, "0")
        text = _line(ns_state, watch)
        if text and wanted_off and not _excused(ns_state.result):
            problems.append(text)
        elif text:
            notes.append(text)
    if looked is Looked.EVERYWHERE:
        problems += _strays(namespaces, watch)
    else:
        notes += _elsewhere(namespaces, watch)
    code = exit_code(key for ns_state in namespaces for key in ns_state.result.keys)
    if code is Exit.AS_WANTED and problems:
        code = Exit.NOT_AS_WANTED
    if code is Exit.AS_WANTED and looked is Looked.HOST_WITHOUT_ROOT:
        code = Exit.CANNOT_TELL
    results = [ns_state.result for ns_state in namespaces]
    sentence = conclude(results, code, bool(problems), looked, changed_ns or {})
    return Judgement(code, problems, notes, _summary(namespaces, watch), sentence)


def _line(ns_state: WatchedNamespace, watch: Watch) -> str:
    """Return why a namespace is not off; empty if nothing shows that it is not."""
    result = ns_state.result
    causes = [] if _is_off(result.keys) else [_state(result)]
    runs = (watch.runs or {}).get(result.namespace.inode, 0)
    if runs:
        causes.append(f"{_runs(runs)} happened")
    elif totals(ns_state) is Totals.MOVED:
        causes.append("its totals change, so estimation runs")
    if not causes:
        return ""
    owner = describe(result.namespace)
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
    """Yield a line for estimation that belongs to none of the namespaces that were found."""
    known = {ns_state.result.namespace.inode for ns_state in namespaces}
    everywhere = all(_is_off(ns_state.result.keys) for ns_state in namespaces)
    for inode, count in (watch.runs or {}).items():
        if inode is None and everywhere:
            yield f"kernel: {_runs(count)} happened although estimation is off everywhere"
        elif inode is not None and inode not in known:
            yield (
                f"net:[{inode}]: {_runs(count)} happened, but nothing leads to this namespace: no "
                "process, mount or open descriptor that the guard may see"
            )
    if watch.unseen:
        more = plural(watch.unseen, "timer")
        yield (
            f"kernel: {more} more than there are namespaces with estimation, so that it may be on "
            "where nothing leads to: no process, mount or open descriptor that the guard may see"
        )
    if watch.kthreads and everywhere:
        tasks = "1 task ipvs-e:* runs" if watch.kthreads == 1 else f"{watch.kthreads} tasks "
        tasks += "" if watch.kthreads == 1 else "ipvs-e:* run"
        yield f"kernel: {tasks} although estimation is off everywhere"


def _elsewhere(namespaces: Sequence[WatchedNamespace], watch: Watch) -> Iterator[str]:
    """Yield a line for estimation in namespaces that were not looked at."""
    known = {ns_state.result.namespace.inode for ns_state in namespaces}
    for inode, count in (watch.runs or {}).items():
        if inode not in known:
            where = "an unknown namespace" if inode is None else f"net:[{inode}]"
            yield f"{where}: {_runs(count)} happened; other namespaces were not looked at"


def _summary(namespaces: Sequence[WatchedNamespace], watch: Watch) -> List[str]:
    off = [ns_state for ns_state in namespaces if _is_off(ns_state.result.keys)]
    words: Dict[Totals, int] = {}
    for ns_state in off:
        words[totals(ns_state)] = words.get(totals(ns_state), 0) + 1
    shown = ", ".join(f"{words[word]} {word.value}" for word in Totals if word in words)
    lines = [
        f"method 1, the values: {len(off)} of {len(namespaces)} namespaces are off",
        f"method 2, the totals of those: {shown or 'none'}",
    ]
    if watch.kthreads is not None:
        tasks = "1 task" if watch.kthreads == 1 else f"{watch.kthreads} tasks"
        lines.append(f"method 2, the threads: {tasks} ipvs-e:*")
    if watch.runs is not None:
        count = sum(watch.runs.values())
        elapsed = f"{watch.elapsed_ns / 1e9:.1f} s"
        lines.append(f"method 2, the estimation runs: {count} that did work in {elapsed}")
    else:
        lines.append(f"method 2, the estimation runs: not counted ({watch.why_not_counted})")
    return lines + ([watch.left_behind] if watch.left_behind else [])


def _runs(count: int) -> str:
    return plural(count, "estimation run")


def document(
    namespaces: Sequence[WatchedNamespace], watch: Watch, judgement: Judgement
) -> Dict[str, Any]:
    """Return namespaces, watch and judgement as plain data for JSON."""
    return {
        "as_wanted": judgement.exit_code is Exit.AS_WANTED,
        "conclusion": judgement.conclusion,
        "watched_usec": watch.elapsed_ns // NS_PER_US,
        "kthreads": watch.kthreads,
        "cpus": {str(cpu): watch.cpus[cpu] for cpu in sorted(watch.cpus)},
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
    return any(key.setting.key == RUN_ESTIMATION and key.value == "0" for key in keys)


def _wants(keys: Iterable[KeyStatus], value: str) -> bool:
    return any(key.setting.key == RUN_ESTIMATION and key.setting.wanted == value for key in keys)


def _excused(result: NamespaceResult) -> bool:
    return all(key.state in _EXCUSED for key in result.keys)
