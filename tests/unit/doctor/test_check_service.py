"""The doctor's findings about the service, from systemd and from the daemon's status."""

import pytest

from ipvsd.doctor import (
    check_service,
)
from ipvsd.doctor.check_service import Service
from tests.unit.doctor.findings import HINT, OK, PROBLEM, WARNING, severities

SHOWN = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "NeedDaemonReload": "no",
    "PrivateNetwork": "no",
    "ProtectKernelTunables": "yes",
    "ReadWritePaths": "/proc/sys/net -/sys/kernel/tracing",
}

DAEMON = {
    "guard": "1.0",
    "mode": "enforce",
    "sources": {"births": "on", "devices": "off"},
    "canary": {"time": "now", "error": None},
    "states": {"off": 3},
    "counters": {
        "since": "2026-11-01T00:00:00.000Z",
        "not_counted_usec": 0,
        "passes_leaked": 0,
        "events_lost": 0,
        "failures": 0,
    },
}


def shown(**changes):
    return Service(dict(SHOWN, **changes), DAEMON, True, "1.0")


def running(**changes):
    return Service(SHOWN, dict(DAEMON, **changes), True, "1.0")


def counting(**counters):
    return running(counters=dict(DAEMON["counters"], **counters))


def counting_as_0_2_0(**counters):
    """Return what a daemon publishes that did not keep its counters."""
    kept = dict(DAEMON["counters"], **counters)
    return running(
        counters={name: kept[name] for name in ("passes_leaked", "events_lost", "failures")}
    )


@pytest.mark.parametrize(
    "why, service_seen, expected, words",
    [
        ("well", shown(), [OK], "running"),
        ("no systemd", Service(None, None, False, "1.0"), [HINT], "does not answer"),
        (
            "hidden",
            Service(SHOWN, None, None, "1.0"),
            [HINT],
            "cannot tell whether the daemon runs",
        ),
        ("hidden, without systemd", Service(None, None, None, "1.0"), [HINT, HINT], "cannot tell"),
        ("no state", Service(SHOWN, None, False, "1.0"), [HINT], "what it has done is unknown"),
        ("not installed", shown(LoadState="not-found"), [HINT], "install the package"),
        (
            "installed by pip",
            shown(LoadState="not-found")._replace(wheel_unit="/v/share/a.service", prefix="/v"),
            [HINT],
            "sed 's|/usr/sbin/ipvsd|/v/bin/ipvsd|' /v/share/a.service > /etc/systemd/system/ipvs-",
        ),
        ("masked", shown(LoadState="masked"), [PROBLEM], "unmask"),
        ("disabled", shown(UnitFileState="disabled"), [WARNING], "after a boot"),
        (
            "just installed",
            Service(
                dict(SHOWN, UnitFileState="disabled", ActiveState="inactive"), None, False, "1.0"
            ),
            [WARNING],
            "enable --now",
        ),
        ("stopped", shown(ActiveState="inactive"), [PROBLEM], "systemctl start"),
        ("failed", shown(ActiveState="failed", Result="watchdog"), [PROBLEM], "watchdog"),
        ("restarted", shown(NRestarts="3"), [HINT], "3 times"),
        ("an old unit in force", shown(NeedDaemonReload="yes"), [HINT], "daemon-reload"),
        ("cut off from events", shown(PrivateNetwork="yes"), [PROBLEM], "events"),
        ("cannot write", shown(ReadWritePaths="/srv"), [PROBLEM], "ReadWritePaths"),
        ("may write all", shown(ReadWritePaths="-/proc"), [OK], "running"),
        ("needs no ReadWritePaths", shown(ProtectKernelTunables="no", ReadWritePaths=""), [OK], ""),
        ("another version", running(guard="0.9"), [WARNING], "restart"),
        ("observing", running(mode="observe"), [HINT], "observe"),
        ("a source lost", running(sources={"births": "x: No such file"}), [HINT], "births"),
        (
            "canary",
            running(canary={"time": "now", "error": "not set in time"}),
            [WARNING],
            "canary",
        ),
        ("no canary", running(canary=None), [OK], ""),
        ("contested", running(states={"contested": 1, "off": 2}), [PROBLEM], "1 contested"),
        ("runs leaked", counting(passes_leaked=2), [HINT], "at most, since 2026-11-01T00:00:00"),
        ("events lost", counting(events_lost=2), [HINT], "lost, since 2026-11-01T00:00:00.000Z: 2"),
        (
            "writes failed",
            counting(failures=2),
            [HINT],
            "failed, since 2026-11-01T00:00:00.000Z: 2",
        ),
        (
            "an old daemon",
            counting_as_0_2_0(failures=2),
            [HINT],
            "failed, since the daemon's start: 2",
        ),
        ("an old daemon, well", counting_as_0_2_0(), [OK], "nothing has leaked"),
        (
            "not counted",
            counting(not_counted_usec=90000000),
            [HINT],
            "not counted for 90 s, while no guard ran",
        ),
        (
            "a restart",
            counting(not_counted_usec=900000),
            [OK],
            "nothing is known to have leaked; not counted for 900.0 ms, while no guard ran",
        ),
    ],
)
def test_service(why, service_seen, expected, words):
    findings = check_service.check(service_seen)
    assert severities(findings) == expected, why
    assert words in " ".join(finding.summary + finding.advice for finding in findings), why


def test_show_is_parsed():
    assert check_service.parse_show("A=b=c\nD=\nnonsense\n") == {"A": "b=c", "D": ""}


def test_nothing_has_leaked_is_not_said_of_a_time_that_was_not_counted():
    for usec in (1, 90000000):
        (finding,) = check_service.check(counting(not_counted_usec=usec))
        assert "nothing has leaked" not in finding.summary
