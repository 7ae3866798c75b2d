"""Judges the lines about IPVS in sysctl.conf and sysctl.d, and which of them wins (pure)."""

import re
from typing import Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.config import sysctl_values
from ipvsd.doctor import written_value
from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.doctor.file_syntax import File, braces, matches, plain_lines
from ipvsd.kernel import dialects

TOPIC = "sysctl files"
# sysctl.d(5); the first ranks first. procps reads the same folders. The last one is another folder
# than the one before only where /lib is not merged into /usr.
FOLDERS = (
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
    "lib/sysctl.d",
)
# `sysctl --system` reads it last; systemd reads it only where a link in a folder leads to it.
LAST_FILE = "etc/sysctl.conf"
_GLOB = set("*?[")
# Keys that every kernel has at boot, or to which udev applies the files when a network interface
# appears (99-systemd.rules of systemd). Others may belong to a module that is loaded later.
_THERE_AT_BOOT = re.compile(
    r"(kernel|vm|fs|net\.core|kernel\.yama|fs\.inotify|net\.ipv4\.conf\.[^.]+"
    r"|net\.ipv4\.neigh\.default)\.\w+|net\.ipv4\.(?!ip_conntrack)\w+"
)


class Assignment(NamedTuple):
    """A line: a key, which may be a glob, and its value; None excludes the key from globs."""

    line: Line
    key: str
    value: Optional[str]

    @property
    def is_glob(self) -> bool:
        """Whether the line is for all keys that match."""
        return bool(_GLOB & set(self.key))

    def covers(self, key: str) -> bool:
        """Return whether the line is about a key.

        As for glob(7) and slashes, `*` matches no dot. systemd expands braces, but only in a key
        that has one of the other special characters (string_is_glob() in sysctl.c).
        """
        if not self.is_glob:
            return self.key == key
        wanted = key.split(".")
        keys = [one.split(".") for one in braces(self.key)]
        return any(len(one) == len(wanted) and all(map(matches, one, wanted)) for one in keys)


class Sources(NamedTuple):
    """The files in the order in which they are read."""

    boot: Sequence[File]  # by systemd at boot
    by_hand: Sequence[File]  # by `sysctl --system`


def parse(file: File) -> List[Assignment]:
    """Return the lines about keys below net.ipv4.vs, in the syntax of sysctl.d(5)."""
    return [one for one in _assignments(file) if any(map(one.covers, _keys([one])))]


def _assignments(file: File) -> Iterator[Assignment]:
    for logical in plain_lines(file, "#;"):
        key, equals, value = logical.text.partition("=")
        forgiving = key.startswith("-")
        dotted = _dotted(key.lstrip("-").strip())
        if equals:
            yield Assignment(logical.line, dotted, value.strip(" \t\r"))
        elif forgiving:
            yield Assignment(logical.line, dotted, None)


def _dotted(key: str) -> str:
    """Return a key with dots between its parts; its first separator shows how it is written."""
    separators = [character for character in key if character in "./"]
    if separators[:1] == ["/"]:
        return key.replace(".", "\0").replace("/", ".").replace("\0", "/")
    return key


def winner(assignments: Sequence[Assignment], key: str) -> Optional[Assignment]:
    """Return the line that sets a key: the last one that names it, or else the last glob."""
    about = [one for one in assignments if one.covers(key)]
    named = [one for one in about if not one.is_glob]
    # A glob without a value has no effect: only the name of a key excludes it from globs.
    about = named or [one for one in about if one.value is not None]
    return about[-1] if about and about[-1].value is not None else None


def lost_without(applied: Sequence[File], boot: Sequence[File]) -> List[str]:
    """Return the keys that have the value of the applied files perhaps only because of these.

    A boot may not set them to the same value. Keys of IPVS, which the guard sets, do not count.
    """
    then, at_boot = (
        [one for file in files for one in _assignments(file)] for files in (applied, boot)
    )
    set_then = [one.key for one in then if one.value is not None]
    return [
        key
        for key in sorted(set(set_then))
        if not key.startswith(sysctl_values.TREE)
        and not (_THERE_AT_BOOT.fullmatch(key) and _words(then, key) == _words(at_boot, key))
    ]


def _words(assignments: Sequence[Assignment], key: str) -> Optional[List[str]]:
    found = winner(assignments, key)
    return None if found is None or found.value is None else found.value.split()


def check(sources: Sources, wanted: Mapping[str, str]) -> List[Finding]:
    """Return what the files do to keys of IPVS; `wanted` has the guarded keys and their values.

    The guard gives the value of a key to another one that ip_vs has instead.
    """
    others = {
        other: value for key, value in wanted.items() for other in dialects.other_switches(key)
    }
    wanted = {**others, **wanted}
    boot = [one for file in sources.boot for one in parse(file)]
    by_hand = [one for file in sources.by_hand for one in parse(file)]
    findings = []
    for key in _keys(boot + by_hand):
        winners = {winner(boot, key): "at boot"}
        winners.setdefault(winner(by_hand, key), "by `sysctl --system`")
        for one, when in winners.items():
            if one is not None and one.value is not None:
                findings.append(_judge(key, one, one.value, when, wanted.get(key)))
        for one in sorted(set(boot + by_hand)):
            if one.covers(key) and one.value is not None and one not in winners:
                findings += _overridden(key, one, list(winners), wanted.get(key))
    if not findings:
        read = len({file.path for file in [*sources.boot, *sources.by_hand]})
        findings.append(Finding(TOPIC, Severity.OK, f"none of {read} files sets a value of IPVS"))
    return findings


def _keys(assignments: Sequence[Assignment]) -> List[str]:
    named = {
        one.key for one in assignments if not one.is_glob and one.key.startswith(sysctl_values.TREE)
    }
    globs = [one for one in assignments if one.is_glob]
    # A glob is about keys that are there.
    common = set(sysctl_values.KNOWN_KEYS) - set(dialects.VENDORS)
    return sorted(named | {key for key in common if any(one.covers(key) for one in globs)})


def _judge(key: str, one: Assignment, text: str, when: str, wanted: Optional[str]) -> Finding:
    if wanted is None and key not in sysctl_values.KNOWN_KEYS:
        summary = f"{key} is not a key known to this version"
        advice = "check the spelling; if it is right, put the line under [sysctl] in guard.conf"
        return Finding(TOPIC, Severity.WARNING, summary, (one.line,), advice)
    value = written_value.taken(key, text)
    if value is None:
        summary = f"{key} = {text}: the line has no effect {when}, since the kernel refuses this "
        summary += "value (Invalid argument)"
        advice = "remove the line: sysctl and systemd-sysctl report a failure because of it"
        return Finding(TOPIC, Severity.WARNING, summary, (one.line,), advice)
    if wanted is None:
        summary = f"{key} is set to {value} {when}, but every load of ip_vs resets it"
        advice = f"put `{key} = {value}` under [sysctl] in guard.conf, and remove this line"
        return Finding(TOPIC, Severity.WARNING, summary, (one.line,), advice)
    if sysctl_values.same(key, value, wanted):
        summary = f"{key} is set to {value} {when}, as by the guard: the line is not needed"
        advice = "remove the line; it works only if ip_vs is loaded already"
        return Finding(TOPIC, Severity.HINT, summary, (one.line,), advice)
    summary = f"{key} is set to {value} {when}, which the guard sets back to {wanted}"
    advice = "remove the line; or, if you want this value, set it in guard.conf"
    return Finding(TOPIC, Severity.PROBLEM, summary, (one.line,), advice)


def _overridden(
    key: str, one: Assignment, winners: Sequence[Optional[Assignment]], wanted: Optional[str]
) -> List[Finding]:
    """Return a hint on a line that another line overrides, if it has another value than wanted."""
    value = written_value.taken(key, one.value or "")
    if wanted is None or value is None or sysctl_values.same(key, value, wanted):
        return []
    stronger = tuple(other.line for other in winners if other is not None)
    if not stronger:  # the key is excluded from globs: on purpose
        return []
    summary = f"{key} = {value} has no effect: another line wins"
    advice = "remove the first line: it would take effect if the other one were removed"
    return [Finding(TOPIC, Severity.HINT, summary, (one.line, *stronger), advice)]
