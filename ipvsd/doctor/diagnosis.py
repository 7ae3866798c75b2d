"""Formats and sums up the findings of `ipvsd doctor`, for people and as JSON (pure)."""

import textwrap
from enum import Enum
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ipvsd.model import Exit
from ipvsd.text import printable

# Version of the JSON: raised when a field changes its meaning or is removed, not when one is added.
VERSION = 1


class Severity(Enum):
    """The severity of a finding, the worst first."""

    PROBLEM = "problem"  # the guard cannot do its work, or something undoes it
    WARNING = "warning"  # the guard works, but something probably differs from what users expect
    HINT = "hint"  # useful to know, nothing has to be done
    OK = "ok"  # checked, and in order


SEVERITIES = tuple(Severity)
_MARGIN = max(len(severity.value) for severity in Severity) + 2
# The width of a terminal, and of the man pages, which quote the output.
_WIDTH = 80


class Line(NamedTuple):
    """Evidence: a path, the number of a line (0 for none), and the text there."""

    path: str
    number: int = 0
    text: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.number}" if self.number else self.path
        return f"{place}: {self.text.strip()}" if self.text else place


class Finding(NamedTuple):
    """The result of one check: its topic, its severity, a summary, evidence, and advice."""

    topic: str
    severity: Severity
    summary: str  # a sentence without a full stop, object first
    evidence: Tuple[Line, ...] = ()
    advice: str = ""


class Diagnosis(NamedTuple):
    """All findings; `supported` is None where it is unknown whether the kernel has the setting."""

    findings: Tuple[Finding, ...]
    supported: Optional[bool]
    failed: Tuple[str, ...] = ()  # topics whose check failed, or could not see what it is about


def in_order(findings: Iterable[Finding]) -> List[Finding]:
    """Return the findings, the worst first."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def exit_code(diagnosis: Diagnosis) -> Exit:
    """Return the exit code of the command; without the setting no other finding matters."""
    if diagnosis.supported is False:
        return Exit.UNSUPPORTED
    if diagnosis.failed:
        return Exit.CANNOT_TELL
    bad = {Severity.PROBLEM, Severity.WARNING}
    found = any(finding.severity in bad for finding in diagnosis.findings)
    return Exit.NOT_AS_WANTED if found else Exit.AS_WANTED


def lines(finding: Finding) -> List[str]:
    """Return the lines of a finding as text for people."""
    heading = f"{finding.severity.value:<{_MARGIN}}{finding.topic}: "
    text = _wrapped(heading, finding.summary)
    # Evidence is not wrapped, so that it can be copied.
    text += [" " * _MARGIN + printable(str(line)) for line in finding.evidence]
    if finding.advice:
        text += _wrapped(" " * _MARGIN + "-> ", finding.advice)
    return text


def _wrapped(start: str, sentence: str) -> List[str]:
    margin = " " * _MARGIN
    return textwrap.wrap(
        start + printable(sentence),
        _WIDTH,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def summary(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each severity."""
    severities = [finding.severity for finding in findings]
    counts = ((severities.count(severity), severity) for severity in SEVERITIES)
    return ", ".join(f"{count} {_plural(count, severity)}" for count, severity in counts if count)


def _plural(count: int, severity: Severity) -> str:
    return severity.value + ("s" if count != 1 and severity is not Severity.OK else "")


def document(diagnosis: Diagnosis) -> Dict[str, Any]:
    """Return a diagnosis as plain data for JSON."""
    return {
        "version": VERSION,
        "supported": diagnosis.supported,
        "failed": list(diagnosis.failed),
        "findings": [
            {
                "topic": finding.topic,
                "severity": finding.severity.value,
                "summary": finding.summary,
                "evidence": [
                    {"path": line.path, "line": line.number or None, "text": line.text or None}
                    for line in finding.evidence
                ],
                "advice": finding.advice or None,
            }
            for finding in in_order(diagnosis.findings)
        ],
    }
