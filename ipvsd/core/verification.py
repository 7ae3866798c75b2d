"""Whether estimation is off, by the values and by what the estimator does; proof for people."""

from enum import Enum
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.core import report
from ipvsd.core.counters import Readout
from ipvsd.core.exposure import PERIOD_NS
from ipvsd.core.model import NS_PER_US, Exit, KeyStatus, Seen, State
from ipvsd.core.owners import describe
from ipvsd.core.plan import exit_code

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


class Space(NamedTuple):
    """One namespace: its value at the end, and its counters before and after the watch."""

    seen: Seen
    before: Optional[Readout]
    after: Optional[Readout]


class Watch(NamedTuple):
    """What was seen of the estimator itself meanwhile."""

    elapsed_ns: int
    # Tasks called ipvs-e:*, None where estimation is done by a timer.
    kthreads: Optional[int] = None
    # Passes that did work by the namespace's inode number (None: of which one is not known), None
    # where they cannot be counted.
    passes: Optional[Mapping[Optional[int], int]] = None
    why_not_counted: str = ""


class Verdict(NamedTuple):
    """What is to be told: of each namespace that is not proven to be off, and of the whole."""

    exit_code: Exit
    problems: Sequence[str]
    notes: Sequence[str]
    summary: Sequence[str]


def totals(space: Space) -> Totals:
    """Return what a namespace's totals did."""
    if space.before is None or space.after is None:
        return Totals.UNKNOWN
    if space.before.estimated != space.after.estimated:
        return Totals.MOVED
    grown = space.after.live.since(space.before.live)
    return Totals.STILL if any(grown) else Totals.NO_TRAFFIC


def judge(spaces: Sequence[Space], watch: Watch) -> Verdict:
    """Return whether estimation is off wherever it can and should be."""
    problems: List[str] = []
    notes: List[str] = []
    for space in spaces:
        wanted_off = _wants(space.seen.keys, "0")
        text = _line(space, watch)
        if text and wanted_off and not _excused(space.seen):
            problems.append(text)
        elif text:
            notes.append(text)
    problems += _strays(spaces, watch)
    code = exit_code(key for space in spaces for key in space.seen.keys)
    if code is Exit.AS_WANTED and problems:
        code = Exit.NOT_AS_WANTED
    return Verdict(code, problems, notes, _summary(spaces, watch))


def _line(space: Space, watch: Watch) -> str:
    """Return why a namespace is not off, empty where it is proven or said to be."""
    seen = space.seen
    causes = [] if _is_off(seen.keys) else [_state(seen)]
    passes = (watch.passes or {}).get(seen.namespace.inode, 0)
    if passes:
        causes.append(f"{passes} passes of estimation ran")
    elif totals(space) is Totals.MOVED:
        causes.append("its totals move, so estimation runs")
    if not causes:
        return ""
    owner = describe(seen.namespace.owner)
    return f"{seen.namespace}: {'; '.join(causes)}" + (f" ({owner})" if owner else "")


def _state(seen: Seen) -> str:
    word = report.state_word(seen.keys)
    value = next((key.value for key in seen.keys if key.value), "")
    detail = next((key.detail for key in seen.keys if key.detail), "")
    if word in (State.HIDDEN.value, State.READ_ONLY.value):
        detail = "another user namespace owns it, so nobody can switch it off"
    shown = f"run_estimation is {value}, {word}" if value else word
    if seen.rule.startswith(shown):
        return seen.rule
    return ", ".join(part for part in (shown, detail, seen.rule) if part)


def _strays(spaces: Sequence[Space], watch: Watch) -> Iterator[str]:
    """Yield what estimates although it belongs to no namespace that may."""
    known = {space.seen.namespace.inode for space in spaces}
    everywhere = all(_is_off(space.seen.keys) for space in spaces)
    for inode, count in (watch.passes or {}).items():
        if inode is None and everywhere:
            yield f"kernel: {count} passes of estimation ran although it is off everywhere"
        elif inode is not None and inode not in known:
            yield (
                f"net:[{inode}]: {count} passes of estimation ran, but nothing leads to this "
                "namespace: no process, mount or open descriptor that may be seen"
            )
    if watch.kthreads and everywhere:
        yield f"kernel: {watch.kthreads} tasks ipvs-e:* run although estimation is off everywhere"


def _summary(spaces: Sequence[Space], watch: Watch) -> List[str]:
    off = [space for space in spaces if _is_off(space.seen.keys)]
    words: Dict[Totals, int] = {}
    for space in off:
        words[totals(space)] = words.get(totals(space), 0) + 1
    moved = ", ".join(f"{words[word]} {word.value}" for word in Totals if word in words)
    lines = [
        f"method 1, the values: {len(off)} of {len(spaces)} namespaces are off",
        f"method 2, the totals of those: {moved or 'none'}",
    ]
    if watch.kthreads is not None:
        lines.append(f"method 2, the threads: {watch.kthreads} tasks ipvs-e:*")
    if watch.passes is not None:
        count = sum(watch.passes.values())
        lines.append(
            f"method 2, the passes: {count} that did work in {watch.elapsed_ns / 1e9:.1f} s"
        )
    else:
        lines.append(f"method 2, the passes: not counted ({watch.why_not_counted})")
    return lines


def document(spaces: Sequence[Space], watch: Watch, verdict: Verdict) -> Dict[str, Any]:
    """Return all of it as plain data for JSON."""
    return {
        "as_wanted": verdict.exit_code is Exit.AS_WANTED,
        "watched_usec": watch.elapsed_ns // NS_PER_US,
        "kthreads": watch.kthreads,
        "passes": None if watch.passes is None else sum(watch.passes.values()),
        "problems": list(verdict.problems),
        "notes": list(verdict.notes),
        "namespaces": [
            dict(
                report.namespace_document(space.seen),
                totals=totals(space).name.lower(),
                passes=None
                if watch.passes is None
                else watch.passes.get(space.seen.namespace.inode, 0),
            )
            for space in spaces
        ],
    }


def _is_off(keys: Iterable[KeyStatus]) -> bool:
    return any(key.value == "0" for key in keys)


def _wants(keys: Iterable[KeyStatus], value: str) -> bool:
    return any(key.setting.wanted == value for key in keys)


def _excused(seen: Seen) -> bool:
    return all(key.state in _EXCUSED for key in seen.keys)
