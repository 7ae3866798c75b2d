"""Knows each option: its section, its default, and how its value is read (pure)."""

import re
from enum import Enum
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple, Type

from ipvsd.config import enforce_share, policy, sysctl_values
from ipvsd.kernel import dialects
from ipvsd.model import NS_PER_S, ContestPolicy, Mode, Scope, Selector
from ipvsd.text import parse_duration, printable

BUILT_IN = "built-in default"


class Strategy(Enum):
    """What is done about estimation."""

    OFF = "off"
    STEER = "steer"  # it stays on, on CPUs where it does no harm


class Entry(NamedTuple):
    """One `key = value` line, or a default."""

    section: str
    key: str
    value: str
    origin: str  # "path:line"
    selector: Optional[Selector] = None  # of [sysctl KIND:GLOB]
    until_ns: Optional[int] = None  # of [until TIME], since the epoch


# Returns the meaning of an entry's value, for the Policy. Raises ValueError with a reason.
_Reader = Callable[[Entry], Any]


def _word(words: Type[Enum]) -> _Reader:
    known = {word.value: word for word in words}

    def read(entry: Entry) -> Enum:
        if entry.value not in known:
            raise ValueError(f"is neither {' nor '.join(known)}")
        return known[entry.value]

    return read


def _duration(shortest: str, longest: str) -> _Reader:
    def read(entry: Entry) -> int:
        ns = parse_duration(entry.value)
        if not parse_duration(shortest) <= ns <= parse_duration(longest):
            raise ValueError(f"is not between {shortest} and {longest}")
        return ns

    return read


def _or_off(read: _Reader) -> _Reader:
    return lambda entry: None if entry.value == "off" else read(entry)


def _selectors(entry: Entry) -> Tuple[Selector, ...]:
    words = entry.value.replace(",", " ").split()
    return tuple(selector(word, entry.origin) for word in words)


def selector(text: str, origin: str) -> Selector:
    """Return the selector for a text KIND:GLOB. Raises ValueError with a reason."""
    kind, _, pattern = text.partition(":")
    if kind not in policy.KINDS:
        raise ValueError(
            f"{printable(text)} begins with no known kind{nearest(kind, policy.KINDS)}"
        )
    if not pattern:
        raise ValueError(f"{text} has no pattern")
    if not pattern.isprintable() or " " in pattern or "," in pattern:
        raise ValueError(f"{printable(text)}: write ? for blanks, commas and control characters")
    if kind == "container" and _SHORT_ID.fullmatch(pattern):
        pattern += "*"
    policy.glob(pattern)  # raises if it is none
    return Selector(kind, pattern, origin)


def _textfile(entry: Entry) -> str:
    if entry.value and not (entry.value.startswith("/") and entry.value.isprintable()):
        raise ValueError("is not an absolute path")
    if entry.value and not entry.value.endswith(".prom"):
        raise ValueError("does not end in .prom, so that no textfile collector would read it")
    return entry.value


def _sysctl(key: str) -> _Reader:
    """Return a reader of values of a sysctl; without a value it is left alone."""
    return lambda entry: sysctl_values.canonical_value(key, entry.value) if entry.value else ""


# Short container ids, as docker and podman show and accept them.
_SHORT_ID = re.compile(r"[0-9a-f]+", re.ASCII)


_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def _time_of_day(entry: Entry) -> int:
    match = _TIME_OF_DAY.fullmatch(entry.value)
    if match is None:
        raise ValueError("is not a time of day such as 03:30 (UTC)")
    return (int(match.group(1)) * 60 + int(match.group(2))) * 60 * NS_PER_S


class Option(NamedTuple):
    """The default of an option, and the function that reads its values."""

    default: str
    read: _Reader


OPTIONS = {
    ("guard", "mode"): Option("enforce", _word(Mode)),
    ("guard", "enforce_share"): Option("100%", lambda entry: enforce_share.parts(entry.value)),
    ("guard", "enforce_salt"): Option("", lambda entry: enforce_share.salt(entry.value)),
    # More often would cost too much CPU time; less often would leave a wrong value too long.
    ("guard", "resync"): Option("30s", _duration("1s", "1h")),
    # Each canary creates and removes a namespace. Less than one a day would prove very little.
    ("guard", "canary"): Option("1h", _or_off(_duration("1min", "24h"))),
    ("guard", "contested"): Option("enforce", _word(ContestPolicy)),
    ("guard", "strategy"): Option("off", _word(Strategy)),
    ("steer", "cpus"): Option("", _sysctl(dialects.EST_CPULIST)),
    # Below all programs, and above those that run with the least priority.
    ("steer", "nice"): Option("10", _sysctl(dialects.EST_NICE)),
    ("namespaces", "scope"): Option("all", _word(Scope)),
    ("namespaces", "exclude"): Option("", _selectors),
    ("metrics", "textfile"): Option("", _textfile),
    # Each sample stalls CPUs once, on purpose.
    ("sampling", "every"): Option("off", _or_off(_duration("10min", "24h"))),
    ("sampling", "at"): Option("00:00", _time_of_day),
}
DEFAULTS = {name: Entry(*name, option.default, BUILT_IN) for name, option in OPTIONS.items()}


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return a hint that ends a message about an unknown name."""
    # Slow to import, and needed only for a mistake.
    import difflib

    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (valid: {', '.join(valid[:8])})"


def is_known(key: str) -> bool:
    """Return whether a section of this version has the key; capitals do not count."""
    lower = key.lower().replace("/", ".")
    return lower.startswith(sysctl_values.TREE) or lower in {known for _, known in OPTIONS}
