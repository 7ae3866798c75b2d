"""The place of a host in a staged roll-out: as published, as metrics, and in words."""

import pytest

from ipvsd.config.parser import Source, parse
from ipvsd.doctor import check_service
from ipvsd.doctor.diagnosis import Severity
from ipvsd.status import host_share, metrics
from tests.status_document import STATUS

# With the place 98.77%.
MACHINE_ID = "0123456789abcdef0123456789abcdef"


def status(share, machine_id=MACHINE_ID):
    policy = parse([Source("a.conf", f"[guard]\nenforce_share = {share}")], 0, machine_id).policy
    document = host_share.document(policy.share)
    return dict(STATUS, mode=policy.mode.value, enforce_share=document)


SIDES = [
    (
        status("99%"),
        "this host enforces: its place, 98.77%, is inside enforce_share = 99% (a.conf:2)",
    ),
    (
        status("2.5%"),
        "this host observes: its place, 98.77%, is outside enforce_share = 2.5% (a.conf:2)",
    ),
    (
        status("10%", ""),
        "this host observes: without a valid /etc/machine-id it has no place in "
        "enforce_share = 10% (a.conf:2)",
    ),
]


@pytest.mark.parametrize("document, sentence", SIDES)
def test_the_side_of_a_host_in_words(document, sentence):
    assert host_share.sentence(document["mode"], document["enforce_share"]) == sentence


def rendered(document):
    text = metrics.render(document, metrics.Running("6.1", "timer"), None)
    lines = [line for line in text.splitlines() if line.startswith("ipvs_estoff_guard_enforce_")]
    return [line[len("ipvs_estoff_guard_enforce_") :] for line in lines]


def test_the_metrics_of_a_share():
    assert rendered(status("99%")) == ["share_ratio 0.99", "place_ratio 0.9877"]
    # Without a machine-id the place is unknown, which is not 0.
    assert rendered(status("10%", "")) == ["share_ratio 0.1"]
    assert rendered(status("100%")) == rendered(STATUS) == []


@pytest.mark.parametrize(
    "document, severity, ending",
    [
        (status("99%"), Severity.OK, "inside enforce_share = 99% (a.conf:2)"),
        (status("2%"), Severity.HINT, "(a.conf:2): the guard only logs what it would write"),
    ],
)
def test_the_doctor_tells_the_side(document, severity, ending):
    daemon = dict(document, guard="1")
    seen = check_service.Service({"LoadState": "loaded"}, daemon, True, "1")
    (finding,) = [one for one in check_service.check(seen) if "this host" in one.summary]
    assert finding.severity is severity and finding.summary.endswith(ending)
