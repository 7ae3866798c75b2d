"""Judges what keeps estimation on deliberately: a switch, configuration, comparison (pure)."""

from typing import List, NamedTuple, Optional, Sequence

from ipvsd.config.choices import Choice
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.model import NS_PER_S
from ipvsd.text import iso_time

TOPIC = "estimation on"
# A switch that is older has probably been forgotten.
_FORGOTTEN_NS = 24 * 3600 * NS_PER_S


class Comparison(NamedTuple):
    """The drop-in that `ipvsd measure --compare` writes, and removes at its end."""

    path: str
    running: Optional[bool]  # whether the comparison still runs; None if that is unknown


class Dated(NamedTuple):
    """A choice with the time of its file."""

    choice: Choice
    since_ns: Optional[int]  # when the file was last changed, since the epoch; None: unknown
    switched: bool  # whether `ipvsd estimation` wrote the file


def _line(choice: Choice) -> Line:
    return Line(choice.path, choice.number, f"{RUN_ESTIMATION} = 1")


def check(dated: Sequence[Dated], comparison: Optional[Comparison], now_ns: int) -> List[Finding]:
    """Return why estimation is on although the guard runs, since when, and by which line."""
    path = "" if comparison is None else comparison.path
    compared = [one for one in dated if one.choice.path == path]
    findings = [] if comparison is None else [_comparison(comparison, compared)]
    return findings + [_choice(one, now_ns) for one in dated if one not in compared]


def _since(since_ns: Optional[int]) -> str:
    return "an unknown time" if since_ns is None else iso_time(since_ns)


def _comparison(comparison: Comparison, compared: Sequence[Dated]) -> Finding:
    evidence = tuple(_line(one.choice) for one in compared) or (Line(comparison.path),)
    since = "".join(f", since {_since(one.since_ns)}" for one in compared[:1])
    if comparison.running is not False:
        text = "`ipvsd measure --compare` switches estimation on while it measures"
        if comparison.running is None:
            text = "cannot tell whether the `ipvsd measure --compare` of this drop-in still runs"
        return Finding(TOPIC, Severity.HINT, text + since, evidence)
    text = "the drop-in is left over from an `ipvsd measure --compare` that was killed"
    advice = f"rm {comparison.path}"
    return Finding(TOPIC, Severity.HINT, text + "; it has no effect", evidence, advice)


def _choice(one: Dated, now_ns: int) -> Finding:
    choice = one.choice
    text = f"estimation is on by choice {choice.where}, since {_since(one.since_ns)}"
    if not one.switched:
        text = f"the configuration wants estimation on {choice.where}; the file was last changed: "
        text += _since(one.since_ns)
        advice = "if this is no longer wanted, remove the line and reload the guard"
        return Finding(TOPIC, Severity.HINT, text, (_line(choice),), advice)
    namespace = f" --namespace {choice.selector}" if choice.selector else ""
    advice = f"if this is no longer wanted: ipvsd estimation off{namespace}"
    if choice.until_ns is not None:
        text += f", until {iso_time(choice.until_ns)}"
        return Finding(TOPIC, Severity.HINT, text, (_line(choice),), advice)
    is_old = one.since_ns is None or now_ns - one.since_ns > _FORGOTTEN_NS
    severity = Severity.WARNING if is_old else Severity.HINT
    return Finding(TOPIC, severity, text, (_line(choice),), advice)
