"""Judges the guard's own configuration, and compares the host's values with it (pure)."""

from typing import Iterable, List, Optional, Sequence

from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.model import RIGHT, KeyStatus, State

CONFIGURATION = "configuration"
VALUES = "values"

# Other topics report these states: no ip_vs, no such setting.
_REPORTED_ELSEWHERE = (State.ABSENT, State.UNSUPPORTED)


def check_configuration(problems: Sequence[str], warnings: Sequence[str]) -> List[Finding]:
    """Return the problems of guard.conf and its drop-ins; each text has the file and line."""
    advice = "correct it, then run `ipvsd config --check`"
    findings = [Finding(CONFIGURATION, Severity.PROBLEM, text, (), advice) for text in problems]
    findings += [Finding(CONFIGURATION, Severity.WARNING, text, (), advice) for text in warnings]
    return findings or [Finding(CONFIGURATION, Severity.OK, "valid")]


def check_values(keys: Iterable[KeyStatus], daemon_mode: Optional[str]) -> List[Finding]:
    """Return which values in the host's namespace are not as wanted."""
    findings = []
    for key in keys:
        if key.state in _REPORTED_ELSEWHERE:
            continue
        name, value = key.setting.key, key.value or "unreadable"
        if key.state in RIGHT:
            how = f", {key.detail}" if key.detail else ""
            findings.append(Finding(VALUES, Severity.OK, f"{name} is {value}, as wanted{how}"))
            continue
        text = f"{name} is {value} ({key.state.value}), but {key.setting.wanted} is wanted"
        advice = "`ipvsd apply` sets the value once; the service keeps it"
        if daemon_mode == "observe":
            advice = "the guard only observes: see mode and enforce_share under [guard]"
        findings.append(Finding(VALUES, Severity.PROBLEM, text, (), advice))
    return findings
