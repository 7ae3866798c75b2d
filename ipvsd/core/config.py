"""Configuration: texts of files -> policy, with file, line and key in every complaint."""

import difflib
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ipvsd.core import values
from ipvsd.core.model import NS_PER_S, Exit, GuardError, Mode, Policy, Setting
from ipvsd.core.text import parse_duration, printable

BUILT_IN = "built-in default"

DEFAULT_RESYNC = "30s"
# Below, the guard would be a load of its own; above, nobody could call it a guard.
RESYNC_MIN_NS = NS_PER_S
RESYNC_MAX_NS = 3600 * NS_PER_S

_SECTIONS = ("guard", "sysctl")
_GUARD_KEYS = ("mode", "resync")


class Source(NamedTuple):
    """A configuration file: its path, for messages, and its text."""

    path: str
    text: str


class Entry(NamedTuple):
    """One `key = value` line."""

    section: str
    key: str
    value: str
    origin: str  # "path:line"


class Option(NamedTuple):
    """An effective setting of [guard] and where it comes from."""

    key: str
    value: str
    origin: str


class Config(NamedTuple):
    """The outcome of reading a configuration that is not refused."""

    policy: Policy
    options: Tuple[Option, ...]
    warnings: Tuple[str, ...]


class ConfigError(GuardError):
    """A configuration is refused; `problems` has one sentence for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more: ipvsd config --check)" if problems[1:] else ""
        super().__init__(problems[0] + more, Exit.USAGE)
        self.problems = tuple(problems)


def parse(sources: Sequence[Source]) -> Config:
    """Merge the files in their order, the later line wins, into one configuration.

    An empty value takes a setting back to its default; an empty sysctl is not guarded.
    Raises ConfigError when any value is wrong, or any sysctl lies outside net.ipv4.vs: then
    nothing of the whole is used. Unknown names only lead to warnings.
    """
    problems: List[str] = []
    warnings: List[str] = []
    options = {
        "mode": Option("mode", Mode.ENFORCE.value, BUILT_IN),
        "resync": Option("resync", DEFAULT_RESYNC, BUILT_IN),
    }
    defaults = dict(options)
    settings = {values.RUN_ESTIMATION: Setting(values.RUN_ESTIMATION, "0", BUILT_IN)}
    for entry in _entries(sources, problems, warnings):
        try:
            if entry.section == "sysctl":
                _take_setting(entry, settings, warnings)
            elif entry.key not in _GUARD_KEYS:
                hint = _nearest(entry.key, _GUARD_KEYS)
                warnings.append(
                    f"{entry.origin}: unknown key {printable(entry.key)}{hint}, ignored"
                )
            elif entry.value:
                _check_option(entry)
                options[entry.key] = Option(entry.key, entry.value, entry.origin)
            else:
                options[entry.key] = defaults[entry.key]
        except ValueError as error:
            shown = f"{printable(entry.key)} = {printable(entry.value)}"
            problems.append(f"{entry.origin}: {shown}: {error}")
    if problems:
        raise ConfigError(problems)
    policy = Policy(
        mode=Mode(options["mode"].value),
        resync_ns=parse_duration(options["resync"].value),
        settings=tuple(sorted(settings.values(), key=_hot_first)),
    )
    return Config(policy, tuple(options.values()), tuple(warnings))


def _hot_first(setting: Setting) -> Tuple[bool, str]:
    """run_estimation is what stalls CPUs: it is always the first to be written."""
    return (setting.key != values.RUN_ESTIMATION, setting.key)


def _take_setting(entry: Entry, settings: Dict[str, Setting], warnings: List[str]) -> None:
    key = values.canonical_key(entry.key)
    if key not in values.KNOWN_KEYS:
        hint = _nearest(key, values.KNOWN_KEYS)
        warnings.append(
            f"{entry.origin}: {key} is not a key known to this version{hint}; guarded all the same"
        )
    if entry.value:
        value = values.canonical_value(key, entry.value)
        settings[key] = Setting(key, value, entry.origin)
    else:
        settings.pop(key, None)


def _check_option(entry: Entry) -> None:
    if entry.key == "mode" and entry.value not in [mode.value for mode in Mode]:
        raise ValueError("is neither enforce nor observe")
    if entry.key == "resync" and not RESYNC_MIN_NS <= parse_duration(entry.value) <= RESYNC_MAX_NS:
        raise ValueError("is not between 1s and 1h")


def _nearest(name: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (valid: {', '.join(valid[:8])})"


def _entries(
    sources: Sequence[Source], problems: List[str], warnings: List[str]
) -> Iterator[Entry]:
    """Yield the lines of known sections, complain of the others.

    Not configparser: it knows no line numbers, takes an indented line for the end of the
    value above it, and reads some of this otherwise from one Python version to the next.
    """
    for source in sources:
        section = None
        for number, raw in enumerate(source.text.split("\n"), 1):
            line = raw.strip()
            origin = f"{source.path}:{number}"
            if not line or line[0] in "#;":
                continue
            if line[0] == "[" and line[-1] == "]":
                section = line[1:-1]
                if section not in _SECTIONS:
                    hint = _nearest(section, _SECTIONS)
                    shown = printable(section)
                    warnings.append(f"{origin}: unknown section [{shown}]{hint}, ignored")
                continue
            if section is not None and section not in _SECTIONS:
                continue  # a newer version's section may hold anything
            key, equals, value = line.partition("=")
            if not equals or not key.strip():
                problems.append(f"{origin}: {printable(line)}: neither [section] nor key = value")
            elif section is None:
                problems.append(f"{origin}: {printable(line)}: stands before the first [section]")
            else:
                yield Entry(section, key.strip(), value.strip(), origin)
