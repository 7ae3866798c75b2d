"""Parses udev rules, and decides which of them act on the event of a module (pure)."""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

from ipvsd.doctor.diagnosis import Line
from ipvsd.doctor.file_syntax import File, matches

# As udev_rule_parse_value() (udev-rules.c) takes them apart: blanks around the operator, and the
# prefixes e"" (with escapes) and i"" (in any case).
_PAIR = re.compile(
    r"""[\s,]*(?P<key>[A-Z_]+)(?:\{(?P<attribute>[^}]*)\})?\s*(?P<operator>==|!=|\+=|-=|:=|=)\s*"""
    r"""(?P<prefix>[ei]{0,2})"(?P<value>(?:[^"\\]|\\.)*)\"""",
    re.ASCII,
)
_COMPARING = ("==", "!=")
# What a rule starts or writes; some of it to compare the result.
_ACTIONS = ("RUN", "PROGRAM", "IMPORT", "SYSCTL", "ATTR")
_RUN_BY_COMPARING = ("PROGRAM", "IMPORT")
_MAX_RULE = 16 * 1024  # UDEV_LINE_SIZE


class Pair(NamedTuple):
    """One comparison or assignment of a rule."""

    key: str
    attribute: str
    operator: str
    value: str
    any_case: bool = False

    @property
    def compares(self) -> bool:
        """Whether it is a condition of its rule."""
        return self.operator in _COMPARING

    @property
    def acts(self) -> bool:
        """Whether it starts a program or a unit, or writes a value."""
        if self.compares:
            return self.key in _RUN_BY_COMPARING
        if self.operator == "-=" or not self.value:
            return False
        return self.key in _ACTIONS or self.attribute == "SYSTEMD_WANTS"


class Rule(NamedTuple):
    """A line of a file of rules."""

    line: Line
    pairs: Sequence[Pair]

    def value(self, key: str) -> str:
        """Return what the rule assigns to a key, empty if it does not."""
        found = [one.value for one in self.pairs if one.key == key and not one.compares]
        return found[0] if found else ""


def parse(file: File) -> List[Rule]:
    """Return the rules of a file; a line that udev refuses is none."""
    rules = []
    for line in _lines(file):
        pairs = _pairs(line.text)
        if pairs is not None:
            rules.append(Rule(line, pairs))
    return rules


def _lines(file: File) -> Iterator[Line]:
    """Yield the lines, joined where a backslash at the end continues one.

    Comments are left out, also between the parts of a line (udev_rules_parse_file()).
    """
    parts: List[str] = []
    first = 1
    for number, raw in enumerate(file.text.split("\n"), 1):
        text = raw.strip()
        if text.startswith("#"):
            continue
        if not parts:
            first = number
        if text.endswith("\\"):
            parts.append(text[:-1])
            continue
        joined = "".join([*parts, text])[:_MAX_RULE]
        if joined.strip():
            yield Line(file.path, first, joined.strip())
        parts = []


def _pairs(text: str) -> Optional[List[Pair]]:
    found, end = [], 0
    while text[end:].strip(" \t,"):
        match = _PAIR.match(text, end)
        if match is None:
            return None
        key, attribute, operator, prefix, value = match.groups()
        found.append(Pair(key, attribute or "", operator, value, "i" in prefix))
        end = match.end()
    return found


def applied(rules: Sequence[Rule], module: str) -> List[Rule]:
    """Return the rules that udev applies when a module is loaded, or may apply.

    A condition on anything else than name, path, subsystem and action may hold or not. A jump is
    made if all conditions surely hold; udev ignores a jump to a label that does not follow.
    """
    device = _device(module)
    found: List[Rule] = []
    label = ""
    for number, rule in enumerate(rules):
        if label and rule.value("LABEL") != label:
            continue
        label = ""
        results = [_holds(one, device) for one in rule.pairs if one.compares or one.key in device]
        if False in results:
            continue
        found.append(rule)
        if None not in results:
            target = rule.value("GOTO")
            follows = any(later.value("LABEL") == target for later in rules[number + 1 :])
            label = target if follows else ""
    return found


def _device(module: str) -> Dict[str, str]:
    """Return what udev compares for the event `add` of a module, by the key of a rule.

    A module has no parent, so the keys for parents see the module itself.
    """
    return {
        "ACTION": "add",
        "DEVPATH": f"/module/{module}",
        "KERNEL": module,
        "KERNELS": module,
        "SUBSYSTEM": "module",
        "SUBSYSTEMS": "module",
    }


def _holds(pair: Pair, device: Dict[str, str]) -> Optional[bool]:
    """Return whether a condition holds for a device; None if that is unknown.

    udev refuses a rule that assigns one of these keys.
    """
    name = pair.attribute if pair.key == "ENV" else pair.key
    if name not in device or (pair.attribute and pair.key != "ENV"):
        return None
    if not pair.compares:
        return False
    value, pattern = device[name], pair.value
    if pair.any_case:
        value, pattern = value.lower(), pattern.lower()
    is_same = any(matches(one, value) for one in pattern.split("|"))
    return is_same is (pair.operator == "==")
