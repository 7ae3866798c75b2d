"""Finds udev rules that act when ip_vs is loaded, or set a value of IPVS (pure)."""

import re
from typing import List, Sequence

from ipvsd.doctor import udev_rules
from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.doctor.file_syntax import File, none_found
from ipvsd.doctor.udev_rules import Rule

TOPIC = "udev rules"
FOLDERS = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
_MODULE = "ip_vs"
# A rule that is applied for this module too is not about ip_vs in particular.
_ANY_OTHER = "dummy"
_SYSCTL = re.compile(r"\bsysctl\b")
# Options of systemd-sysctl and of sysctl(8) that restrict them to some keys.
_PREFIX = re.compile(r"--prefix[= ]/?([\w./]+)")
_TREE = "net/ipv4/vs"
_NAMES_TREE = re.compile(r"net[./]ipv4[./]vs\b|\brun_estimation\b")


def check(files: Sequence[File]) -> List[Finding]:
    """Return the rules that act on ip_vs in particular, or set values of IPVS at its load."""
    found = [rule for file in files for rule in _relevant(udev_rules.parse(file))]
    text = "a rule acts on ip_vs or its values, later than the guard and only in the host's "
    text += "namespace"
    advice = "remove the rule if it sets a value, so that only the guard does"
    findings = [Finding(TOPIC, Severity.WARNING, text, (rule.line,), advice) for rule in found]
    return findings or [none_found(TOPIC, files, "acts on ip_vs")]


def _relevant(rules: Sequence[Rule]) -> List[Rule]:
    by_any = udev_rules.applied(rules, _ANY_OTHER)
    by_ours = udev_rules.applied(rules, _MODULE)
    return [
        rule
        for rule in rules
        if _NAMES_TREE.search(rule.line.text)
        or rule in by_ours
        and any(pair.acts for pair in rule.pairs)
        and (rule not in by_any or _sets_values(rule))
    ]


def _sets_values(rule: Rule) -> bool:
    """Return whether a rule for all modules sets sysctls, and not only those of others."""
    text = " ".join(pair.value for pair in rule.pairs if pair.acts)
    prefixes = [prefix.replace(".", "/").strip("/") for prefix in _PREFIX.findall(text)]
    ours = any((_TREE + "/").startswith(prefix + "/") for prefix in prefixes)
    return bool(_SYSCTL.search(text)) and (ours or not prefixes)
