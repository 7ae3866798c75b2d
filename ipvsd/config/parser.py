"""Parses the texts of configuration files into a policy; errors have file, line, key (pure)."""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import enforce_share, options, policy, steering, sysctl_values, until
from ipvsd.config.options import BUILT_IN, Entry, Strategy
from ipvsd.kernel import dialects
from ipvsd.model import Exit, GuardError, Override, Policy, Selector, Setting, Share
from ipvsd.text import printable


class Source(NamedTuple):
    """A configuration file: its text, and its path for messages."""

    path: str
    text: str


class Config(NamedTuple):
    """A valid configuration."""

    policy: Policy
    options: Tuple[Entry, ...]  # those in effect in all sections but [sysctl]
    warnings: Tuple[str, ...]
    until_ns: Optional[int] = None  # when the next [until TIME] is over; None without one
    compares: bool = False  # the drop-in of a comparison counts
    sources: Tuple[Source, ...] = ()  # the files that it was read from
    machine_id: str = ""  # the text of machine-id(5)


class ConfigError(GuardError):
    """The error that refuses a configuration; `problems` has one sentence for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more: ipvsd config --check)" if problems[1:] else ""
        super().__init__(problems[0] + more, Exit.USAGE)
        self.problems = tuple(problems)


def parse(sources: Sequence[Source], wall_ns: int = 0, machine_id: str = "") -> Config:
    """Return the configuration that the files, in their order, make up; the later line wins.

    Lines below [until TIME] count until that time, which is compared with `wall_ns`. The mode is
    that of the host with this machine-id.

    An empty value means the default of an option; a sysctl with an empty value is not guarded.
    Raises ConfigError when any value is wrong, or any sysctl is not below net.ipv4.vs: the
    configuration is refused as a whole. So it is when a section has an unknown name and a known
    key. Other unknown names only cause warnings.
    """
    draft = _Draft(wall_ns)
    for source in sources:
        draft.read(source)
    config = draft.finish()
    own = enforce_share.on_this_host(config.policy, machine_id)
    if own.share is not None and own.share.place is None:
        missing = "/etc/machine-id names no machine, so this host only observes"
        warning = f"{own.share.origin}: enforce_share: {missing}"
        config = config._replace(warnings=(*config.warnings, warning))
    return config._replace(policy=own, sources=tuple(sources), machine_id=machine_id)


_SECTIONS = ("guard", "namespaces", "sysctl", "steer", "metrics", "sampling")
_UNTIL = re.compile(r"until\s+(\S.*?)\s*")
_UNTIL_FORM = "[until TIME] with a time such as 2026-12-01T06:00:00Z (UTC)"
_FIRST_WORD = re.compile(r"\s*([^\W\d_]*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_OVERRIDE = re.compile(r"sysctl\s+(\S.*?)\s*")


class _Draft:
    """An unfinished configuration: what is in effect so far, with its problems and warnings."""

    def __init__(self, wall_ns: int) -> None:
        self._wall_ns = wall_ns
        self._until_ns: Optional[int] = None
        self._problems: List[str] = []
        self._warnings: List[str] = []
        self._options = dict(options.DEFAULTS)
        self._settings = {
            sysctl_values.RUN_ESTIMATION: Setting(sysctl_values.RUN_ESTIMATION, "0", BUILT_IN)
        }
        self._overrides: Dict[Tuple[str, str], Override] = {}

    def read(self, source: Source) -> None:
        for entry in self._entries(source):
            if entry.until_ns is not None and entry.until_ns <= self._wall_ns:
                continue
            try:
                self._take(entry)
            except ValueError as error:
                shown = f"{printable(entry.key)} = {printable(entry.value)}"
                self._problems.append(f"{entry.origin}: {shown}: {error}")

    def finish(self) -> Config:
        meaning = {name: options.OPTIONS[name].read(entry) for name, entry in self._options.items()}
        self._check_switches()
        steers = meaning["guard", "strategy"] is Strategy.STEER
        self._steer(steers)
        if self._problems:
            raise ConfigError(self._problems)
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
            steer=meaning["steer", "cpus"] if steers else None,
            sampling_ns=meaning["sampling", "every"],
            sampling_at_ns=meaning["sampling", "at"],
            share=Share(
                meaning["guard", "enforce_share"],
                meaning["guard", "enforce_salt"],
                self._options["guard", "enforce_share"].origin,
            ),
        )
        entries, warnings = tuple(self._options.values()), tuple(self._warnings)
        return Config(wanted, entries, warnings, self._until_ns)

    def _steer(self, steers: bool) -> None:
        """Add what strategy = steer wants, and what contradicts it."""
        if not steers:
            self._warnings += steering.without_effect(self._options)
            return
        self._problems += steering.contradictions(self._options, self._settings)
        self._settings.update({one.key: one for one in steering.settings(self._options)})

    def _check_switches(self) -> None:
        """Add a problem for a vendor's switch that contradicts run_estimation."""
        run = self._settings.get(sysctl_values.RUN_ESTIMATION)
        for key in dialects.other_switches(sysctl_values.RUN_ESTIMATION):
            other = self._settings.get(key)
            if run and other and (run.wanted == dialects.OFF) != (other.wanted == dialects.OFF):
                text = f"contradicts {run.key} = {run.wanted} ({run.origin}), which switches it too"
                self._problems.append(f"{other.origin}: {key} = {other.wanted}: {text}")

    def _take(self, entry: Entry) -> None:
        if entry.until_ns is not None:
            self._until_ns = min(entry.until_ns, self._until_ns or entry.until_ns)
        name = (entry.section, entry.key)
        if entry.section == "sysctl":
            self._take_sysctl(entry)
        elif name not in options.OPTIONS:
            valid = [key for section, key in options.OPTIONS if section == entry.section]
            shown, hint = printable(entry.key), options.nearest(entry.key, valid)
            self._warnings.append(f"{entry.origin}: unknown key {shown}{hint}, ignored")
        elif entry.value:
            options.OPTIONS[name].read(entry)
            self._options[name] = entry
        else:
            self._options[name] = options.DEFAULTS[name]

    def _take_sysctl(self, entry: Entry) -> None:
        key = sysctl_values.canonical_key(entry.key)
        if key not in sysctl_values.KNOWN_KEYS:
            hint = options.nearest(key, sysctl_values.KNOWN_KEYS)
            unknown = f"{key} is not a key known to this version{hint}"
            self._warnings.append(f"{entry.origin}: {unknown}; guarded all the same")
        wanted = sysctl_values.canonical_value(key, entry.value) if entry.value else None
        if entry.selector is not None:
            name = (str(entry.selector), key)
            self._overrides.pop(name, None)  # so that the later line comes after all others
            self._overrides[name] = Override(
                entry.selector, key, wanted, entry.origin, entry.until_ns
            )
        elif wanted is not None:
            self._settings[key] = Setting(key, wanted, entry.origin, "", entry.until_ns)
        else:
            self._settings.pop(key, None)

    def _entries(self, source: Source) -> Iterator[Entry]:
        """Yield the entries of known sections, and collect problems and warnings.

        configparser is not used: it has no line numbers, reads an indented line as a continuation
        of the value above it, and differs between Python versions.
        """
        section, chosen, until_ns = None, None, None
        for number, raw in enumerate(source.text.split("\n"), 1):
            line = raw.strip()
            origin = f"{source.path}:{number}"
            if not line or line[0] in "#;":
                continue
            if line[0] == "[" and line[-1] == "]":
                end = _UNTIL.fullmatch(line[1:-1])
                if end is not None:
                    section, chosen, until_ns = None, None, self._end(end.group(1), origin)
                else:
                    section, chosen = self._section(line[1:-1], origin)
                continue
            key, equals, value = line.partition("=")
            shown = f"{origin}: {printable(line)}"
            if line[0] == "[":  # not closed: what follows would count as part of another section
                self._problems.append(f"{shown}: neither [section] nor key = value")
                continue
            if section is not None and section not in _SECTIONS:
                # A section of a newer version may have any other line.
                if equals and options.is_known(key.strip()):
                    self._problems.append(f"{shown}: {_without_effect(section)}")
                continue
            if not equals or not key.strip():
                self._problems.append(f"{shown}: neither [section] nor key = value")
            elif section is None:
                self._problems.append(f"{shown}: stands before the first [section]")
            else:
                value = " ".join(value.split())
                yield Entry(section, key.strip(), value, origin, chosen, until_ns)

    def _end(self, text: str, origin: str) -> Optional[int]:
        try:
            return until.parse(text)
        except ValueError as error:
            self._problems.append(f"{origin}: [until {printable(text)}]: {error}")
            return None

    def _section(self, header: str, origin: str) -> Tuple[str, Optional[Selector]]:
        """Return the name of a section, and the selector of [sysctl KIND:GLOB]."""
        override = _OVERRIDE.fullmatch(header)
        if override is None:
            if _may_mean_until(header):
                shown = printable(header)
                self._problems.append(f"{origin}: [{shown}]: is not {_UNTIL_FORM}")
            elif header not in _SECTIONS:
                shown, hint = (
                    printable(header),
                    options.nearest(header.partition(" ")[0], _SECTIONS),
                )
                self._warnings.append(f"{origin}: unknown section [{shown}]{hint}, ignored")
            return header, None
        try:
            return "sysctl", options.selector(override.group(1), origin)
        except ValueError as error:
            self._problems.append(f"{origin}: [{printable(header)}]: {error}")
            return "sysctl", None  # to find further problems: the whole is refused anyway


def _may_mean_until(header: str) -> bool:
    """Return whether an unknown header limits a time: the sections behind it must not last."""
    if header in _SECTIONS:
        return False
    import difflib  # slow to import, and needed only for a mistake

    match = _FIRST_WORD.match(header)
    word = match.group(1).lower() if match is not None else ""
    # "untl" and "unitl" are near enough; "unit", which a newer version may have, is not.
    is_near = difflib.get_close_matches(word, (*_SECTIONS, "until"), n=1, cutoff=0.75) == ["until"]
    return is_near or _DATE.search(header) is not None


def _unknown(section: str) -> str:
    hint = options.nearest(section.partition(" ")[0].lower(), _SECTIONS)
    return f"unknown section [{printable(section)}]{hint}"


def _without_effect(section: str) -> str:
    """Return why a known key is refused: [Guard] with `mode = observe` must not enforce."""
    return f"is in the {_unknown(section)}, and would have no effect"
