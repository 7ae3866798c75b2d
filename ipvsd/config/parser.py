"""Parses the texts of configuration files into a policy; errors have file, line, key (pure)."""

import re
from enum import Enum
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type

from ipvsd.config import policy, sysctl_values
from ipvsd.model import (
    ContestPolicy,
    Exit,
    GuardError,
    Mode,
    Override,
    Policy,
    Scope,
    Selector,
    Setting,
)
from ipvsd.text import parse_duration, printable

BUILT_IN = "built-in default"


class Source(NamedTuple):
    """A configuration file: its text, and its path for messages."""

    path: str
    text: str


class Entry(NamedTuple):
    """One `key = value` line, or a default."""

    section: str
    key: str
    value: str
    origin: str  # "path:line"
    selector: Optional[Selector] = None  # of [sysctl KIND:GLOB]


class Config(NamedTuple):
    """A valid configuration."""

    policy: Policy
    options: Tuple[Entry, ...]  # those in effect in all sections but [sysctl]
    warnings: Tuple[str, ...]


class ConfigError(GuardError):
    """The error that refuses a configuration; `problems` has one sentence for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more: ipvsd config --check)" if problems[1:] else ""
        super().__init__(problems[0] + more, Exit.USAGE)
        self.problems = tuple(problems)


def parse(sources: Sequence[Source]) -> Config:
    """Return the configuration that the files, in their order, make up; the later line wins.

    An empty value means the default of an option; a sysctl with an empty value is not guarded.
    Raises ConfigError when any value is wrong, or any sysctl is not below net.ipv4.vs: the
    configuration is refused as a whole. Unknown names only cause warnings.
    """
    draft = _Draft()
    for source in sources:
        draft.read(source)
    return draft.finish()


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
            f"{printable(text)} begins with no known kind{_nearest(kind, policy.KINDS)}"
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


# Short container ids, as docker and podman show and accept them.
_SHORT_ID = re.compile(r"[0-9a-f]+", re.ASCII)


class _Option(NamedTuple):
    default: str
    read: _Reader


_OPTIONS = {
    ("guard", "mode"): _Option("enforce", _word(Mode)),
    # More often would cost too much CPU time; less often would leave a wrong value too long.
    ("guard", "resync"): _Option("30s", _duration("1s", "1h")),
    # Each canary creates and removes a namespace. Less than one a day would prove very little.
    ("guard", "canary"): _Option("1h", _or_off(_duration("1min", "24h"))),
    ("guard", "contested"): _Option("enforce", _word(ContestPolicy)),
    ("namespaces", "scope"): _Option("all", _word(Scope)),
    ("namespaces", "exclude"): _Option("", _selectors),
    ("metrics", "textfile"): _Option("", _textfile),
}
_DEFAULTS = {name: Entry(*name, option.default, BUILT_IN) for name, option in _OPTIONS.items()}
_SECTIONS = ("guard", "namespaces", "sysctl", "metrics")
_OVERRIDE = re.compile(r"sysctl\s+(\S.*?)\s*")


class _Draft:
    """An unfinished configuration: what is in effect so far, with its problems and warnings."""

    def __init__(self) -> None:
        self._problems: List[str] = []
        self._warnings: List[str] = []
        self._options = dict(_DEFAULTS)
        self._settings = {
            sysctl_values.RUN_ESTIMATION: Setting(sysctl_values.RUN_ESTIMATION, "0", BUILT_IN)
        }
        self._overrides: Dict[Tuple[str, str], Override] = {}

    def read(self, source: Source) -> None:
        for entry in self._entries(source):
            try:
                self._take(entry)
            except ValueError as error:
                shown = f"{printable(entry.key)} = {printable(entry.value)}"
                self._problems.append(f"{entry.origin}: {shown}: {error}")

    def finish(self) -> Config:
        if self._problems:
            raise ConfigError(self._problems)
        meaning = {name: _OPTIONS[name].read(entry) for name, entry in self._options.items()}
        wanted = Policy(
            mode=meaning["guard", "mode"],
            resync_ns=meaning["guard", "resync"],
            settings=policy.in_order(self._settings.values()),
            scope=meaning["namespaces", "scope"],
            exclusions=meaning["namespaces", "exclude"],
            overrides=tuple(self._overrides.values()),
            contest_policy=meaning["guard", "contested"],
            canary_ns=meaning["guard", "canary"],
            textfile=meaning["metrics", "textfile"],
        )
        return Config(wanted, tuple(self._options.values()), tuple(self._warnings))

    def _take(self, entry: Entry) -> None:
        name = (entry.section, entry.key)
        if entry.section == "sysctl":
            self._take_sysctl(entry)
        elif name not in _OPTIONS:
            valid = [key for section, key in _OPTIONS if section == entry.section]
            shown, hint = printable(entry.key), _nearest(entry.key, valid)
            self._warnings.append(f"{entry.origin}: unknown key {shown}{hint}, ignored")
        elif entry.value:
            _OPTIONS[name].read(entry)
            self._options[name] = entry
        else:
            self._options[name] = _DEFAULTS[name]

    def _take_sysctl(self, entry: Entry) -> None:
        key = sysctl_values.canonical_key(entry.key)
        if key not in sysctl_values.KNOWN_KEYS:
            hint = _nearest(key, sysctl_values.KNOWN_KEYS)
            unknown = f"{key} is not a key known to this version{hint}"
            self._warnings.append(f"{entry.origin}: {unknown}; guarded all the same")
        wanted = sysctl_values.canonical_value(key, entry.value) if entry.value else None
        if entry.selector is not None:
            name = (str(entry.selector), key)
            self._overrides.pop(name, None)  # so that the later line comes after all others
            self._overrides[name] = Override(entry.selector, key, wanted, entry.origin)
        elif wanted is not None:
            self._settings[key] = Setting(key, wanted, entry.origin)
        else:
            self._settings.pop(key, None)

    def _entries(self, source: Source) -> Iterator[Entry]:
        """Yield the entries of known sections, and collect problems and warnings.

        configparser is not used: it has no line numbers, reads an indented line as a continuation
        of the value above it, and differs between Python versions.
        """
        section, chosen = None, None
        for number, raw in enumerate(source.text.split("\n"), 1):
            line = raw.strip()
            origin = f"{source.path}:{number}"
            if not line or line[0] in "#;":
                continue
            if line[0] == "[" and line[-1] == "]":
                section, chosen = self._section(line[1:-1], origin)
                continue
            if section is not None and section not in _SECTIONS:
                continue  # a section of a newer version may have any syntax
            key, equals, value = line.partition("=")
            shown = f"{origin}: {printable(line)}"
            if not equals or not key.strip():
                self._problems.append(f"{shown}: neither [section] nor key = value")
            elif section is None:
                self._problems.append(f"{shown}: stands before the first [section]")
            else:
                yield Entry(section, key.strip(), " ".join(value.split()), origin, chosen)

    def _section(self, header: str, origin: str) -> Tuple[str, Optional[Selector]]:
        """Return the name of a section, and the selector of [sysctl KIND:GLOB]."""
        override = _OVERRIDE.fullmatch(header)
        if override is None:
            if header not in _SECTIONS:
                shown, hint = printable(header), _nearest(header.partition(" ")[0], _SECTIONS)
                self._warnings.append(f"{origin}: unknown section [{shown}]{hint}, ignored")
            return header, None
        try:
            return "sysctl", selector(override.group(1), origin)
        except ValueError as error:
            self._problems.append(f"{origin}: [{printable(header)}]: {error}")
            return "sysctl", None  # to find further problems: the whole is refused anyway


def _nearest(name: str, valid: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (valid: {', '.join(valid[:8])})"
