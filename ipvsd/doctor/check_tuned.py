"""Finds values of IPVS in the profiles of tuned (pure)."""

import re
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ipvsd.config import sysctl_values
from ipvsd.doctor import check_sysctl_files, written_value
from ipvsd.doctor.check_sysctl_files import Assignment
from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.doctor.file_syntax import File, LogicalLine, none_found, plain_lines

TOPIC = "tuned"
# The last one wins.
FOLDERS = ("usr/lib/tuned", "usr/lib/tuned/profiles", "etc/tuned", "etc/tuned/profiles")
ACTIVE_FILES = ("etc/tuned/active_profile", "etc/tuned/post_loaded_profile")
_PLUGIN = "sysctl"
_COMMENT = re.compile(r"(?:^|\s)#.*")
_WORDS = re.compile(r"[^\s,;:{}$]+")


class Tuned(NamedTuple):
    """The profiles of tuned: the active ones, and the tuned.conf of each by its name."""

    active: Tuple[str, ...]
    profiles: Mapping[str, File]


class _Value(NamedTuple):
    """A value that an instance of the plugin sysctl sets; the instance has a section's name."""

    profile: str
    instance: str
    assignment: Assignment


def check(tuned: Tuned, wanted: Mapping[str, str]) -> List[Finding]:
    """Return the values that profiles set; whether a profile is in use decides the severity.

    A profile is in use if it is active, or if one in use includes it. `wanted` has the guarded keys
    and their values.
    """
    loaded = _loaded(tuned)
    order = [*sorted(set(tuned.profiles) - set(loaded)), *loaded]
    values = [one for name in order for one in _values(name, tuned.profiles.get(name))]
    # tuned merges the profiles in use: of instances with the same name the one loaded last wins.
    winners = {(one.instance, one.assignment.key): one for one in values if one.profile in loaded}
    in_effect = set(winners.values())
    findings = [_finding(one, one in in_effect, wanted) for one in values]
    return findings or [none_found(TOPIC, list(tuned.profiles.values()), "sets a value of IPVS")]


def _finding(one: _Value, in_effect: bool, wanted: Mapping[str, str]) -> Finding:
    key, text = one.assignment.key, one.assignment.value or ""
    ours, value = wanted.get(key), written_value.taken(key, text)
    agrees = ours is not None and value is not None and sysctl_values.same(key, value, ours)
    state = "the active" if in_effect else "an inactive or overridden"
    summary = f"{state} profile {one.profile} sets {key} to {value or text}"
    if "$" in text:
        summary += ", a variable whose value is unknown here"
    elif value is None:
        summary += ", which the kernel refuses"
    elif ours is not None and not agrees:
        summary += f", which the guard sets back to {ours}"
    severity = Severity.HINT
    if in_effect and not agrees:
        certain = ours is not None and value is not None
        severity = Severity.PROBLEM if certain else Severity.WARNING
    advice = "remove the line from a copy of the profile in /etc/tuned; set the value in guard.conf"
    return Finding(TOPIC, severity, summary, (one.assignment.line,), advice)


def _loaded(tuned: Tuned) -> List[str]:
    """Return the active profiles and all that they include, in the order in which tuned loads them.

    Where a function chooses among profiles, as in `${f:virt_check:guest:host}`, all of them count.
    """
    found: List[str] = []
    visited: Set[str] = set()
    todo = [(name, False) for name in reversed(tuned.active)]
    while todo:
        name, is_ready = todo.pop()
        if is_ready:
            found.append(name)
        elif name not in visited:
            visited.add(name)
            options = _options(_sections(tuned.profiles.get(name)).get("main", ()))
            # A profile with a hyphen before its name may be missing.
            included = [word.lstrip("-") for word in _WORDS.findall(options.get("include", ""))]
            todo += [(name, True), *((other, False) for other in reversed(included))]
    return found


def _values(profile: str, file: Optional[File]) -> Iterator[_Value]:
    for instance, lines in _sections(file).items():
        options = _options(lines)
        is_enabled = options.get("enabled", "1") in ("1", "true", "True")
        if options.get("type", instance) == _PLUGIN and is_enabled:
            for logical in lines:
                for one in check_sysctl_files.parse(File("", logical.text)):
                    # A value may be in quotes, and > or < before it sets it only if it is larger.
                    value = _COMMENT.sub("", one.value or "").strip("\"' ").lstrip("<>")
                    yield _Value(profile, instance, Assignment(logical.line, one.key, value))


def _options(lines: Sequence[LogicalLine]) -> Dict[str, str]:
    pairs = (logical.text.partition("=") for logical in lines)
    return {key.strip(): _COMMENT.sub("", value).strip() for key, _, value in pairs}


def _sections(file: Optional[File]) -> Dict[str, List[LogicalLine]]:
    found: Dict[str, List[LogicalLine]] = {}
    lines: List[LogicalLine] = []
    for logical in plain_lines(file, "#;") if file is not None else ():
        if logical.text.startswith("["):
            lines = found.setdefault(logical.text[1:].partition("]")[0], [])
        else:
            lines.append(logical)
    return found
