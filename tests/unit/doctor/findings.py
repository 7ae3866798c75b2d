"""Summaries of findings for the tests of the doctor's checks."""

from ipvsd.doctor.diagnosis import Severity

OK, HINT, WARNING, PROBLEM = Severity.OK, Severity.HINT, Severity.WARNING, Severity.PROBLEM


def bad_places(findings):
    """Return severity and first place of each finding that is not ok."""
    bad = [finding for finding in findings if finding.severity is not OK]
    places = [f"{one.evidence[0].path}:{one.evidence[0].number}" for one in bad]
    return list(zip([finding.severity for finding in bad], places))


def severities(findings):
    return [finding.severity for finding in findings]
