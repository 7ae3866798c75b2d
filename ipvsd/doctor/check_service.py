"""The service's own health: what systemd says of it, and what the daemon itself knows."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ipvsd.doctor.diagnosis import Finding, Line, Severity

TOPIC = "service"
NAME = "ipvs-estoff-guard.service"
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "Result",
    "NRestarts",
    "NeedDaemonReload",
    "DropInPaths",
    "PrivateNetwork",
    "PrivateUsers",
    "ProtectKernelTunables",
    "ReadWritePaths",
    "ProcSubset",
)

# What takes from the guard what it cannot do without (systemd.exec(5)).
_DEADLY = {
    "PrivateNetwork": ("yes", "it hears no events of the host and sees another namespace's values"),
    "PrivateUsers": ("yes", "its capabilities are void"),
    "ProcSubset": ("pid", "/proc/sys is hidden from it"),
}
_WRITABLE = "/proc/sys/net"
_WORKS = ("on", "off")
_BAD_STATES = ("contested", "not permitted", "refused", "unreadable")


class Service(NamedTuple):
    """What was seen of it."""

    properties: Optional[Mapping[str, str]]  # None where systemd does not answer
    daemon: Optional[Mapping[str, Any]]  # its state file, None if it does not run
    version: str  # of the command


def parse_show(text: str) -> Dict[str, str]:
    """Return what `systemctl show` prints."""
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, equals, value in pairs if equals}


def check(service: Service) -> List[Finding]:
    """Return whether it runs, will run after a boot, and does its work."""
    findings = []
    shown = service.properties
    if shown is None:
        text = "systemd does not answer: whether it is enabled cannot be told"
        findings.append(Finding(TOPIC, Severity.HINT, text))
    elif shown.get("LoadState") == "not-found":
        text = "it is not installed here"
        advice = "install the package and: systemctl enable --now ipvs-estoff-guard"
        return [Finding(TOPIC, Severity.HINT, text, (), advice)]
    else:
        findings += _state(shown) + _sandbox(shown)
    if service.daemon is not None:
        findings += _daemon(service.daemon, service.version)
    return findings or [Finding(TOPIC, Severity.OK, "enabled, running, and nothing has leaked")]


def _state(shown: Mapping[str, str]) -> List[Finding]:
    findings = []
    if (shown.get("UnitFileState"), shown.get("ActiveState")) == ("disabled", "inactive"):
        text = "it is installed, but neither enabled nor running: nothing is guarded yet"
        advice = "systemctl enable --now ipvs-estoff-guard"
        return [_bad(text, advice, Severity.WARNING)]
    if shown.get("LoadState") == "masked":
        findings.append(_bad("it is masked", "systemctl unmask ipvs-estoff-guard"))
    elif shown.get("UnitFileState") == "disabled":
        text = "it is not enabled: after a boot nothing is guarded"
        findings.append(_bad(text, "systemctl enable ipvs-estoff-guard", Severity.WARNING))
    if shown.get("ActiveState") == "failed":
        text = f"it has failed ({shown.get('Result')}): nothing is guarded"
        findings.append(_bad(text, "journalctl -u ipvs-estoff-guard tells why"))
    elif shown.get("ActiveState") not in ("active", "reloading"):
        text = f"it is {shown.get('ActiveState')}: nothing is guarded"
        findings.append(_bad(text, "systemctl start ipvs-estoff-guard"))
    if shown.get("NRestarts", "0") != "0":
        text = f"systemd had to restart it {shown['NRestarts']} times"
        advice = "journalctl -u ipvs-estoff-guard tells why"
        findings.append(_bad(text, advice, Severity.HINT))
    if shown.get("NeedDaemonReload") == "yes":
        text = "its unit has changed on disk, and systemd has not read it"
        findings.append(_bad(text, "systemctl daemon-reload", Severity.HINT))
    return findings


def _sandbox(shown: Mapping[str, str]) -> List[Finding]:
    """What the unit, with its drop-ins, takes from the guard."""
    drop_ins = tuple(Line(path) for path in shown.get("DropInPaths", "").split())
    reasons = [
        f"{name}={bad}: {loss}" for name, (bad, loss) in _DEADLY.items() if shown.get(name) == bad
    ]
    writable = shown.get("ReadWritePaths", _WRITABLE).split()
    if shown.get("ProtectKernelTunables") == "yes" and not any(map(_covers_sysctls, writable)):
        reasons.append(f"ProtectKernelTunables=yes without ReadWritePaths={_WRITABLE}")
    advice = "remove the drop-in, or take the line out: systemctl edit ipvs-estoff-guard"
    return [Finding(TOPIC, Severity.PROBLEM, text, drop_ins, advice) for text in reasons]


def _covers_sysctls(path: str) -> bool:
    return (_WRITABLE + "/").startswith(path.lstrip("-+").rstrip("/") + "/")


def _daemon(daemon: Mapping[str, Any], version: str) -> List[Finding]:
    findings = []
    if daemon["guard"] != version:
        text = f"version {daemon['guard']} is running, installed is {version}"
        advice = "systemctl restart ipvs-estoff-guard"
        findings.append(_bad(text, advice, Severity.WARNING))
    if daemon["mode"] == "observe":
        text = "mode = observe: it only says what it would write"
        findings.append(_bad(text, "", Severity.HINT))
    findings += _sources(daemon["sources"]) + _canary(daemon["canary"])
    bad = {state: daemon["states"][state] for state in _BAD_STATES if state in daemon["states"]}
    if bad:
        states = ", ".join(f"{count} {state}" for state, count in bad.items())
        text = f"namespaces that it cannot keep as wanted: {states}"
        advice = "ipvsd status names them; journalctl -u ipvs-estoff-guard says who is suspected"
        findings.append(_bad(text, advice))
    return findings + _counters(daemon["counters"])


def _sources(sources: Mapping[str, str]) -> List[Finding]:
    lost = sorted((name, why) for name, why in sources.items() if why not in _WORKS)
    return [
        _bad(
            f"source {name} is lost: {why}",
            "nothing has to be done: it looks more often instead",
            Severity.HINT,
        )
        for name, why in lost
    ]


def _canary(canary: Optional[Mapping[str, Any]]) -> List[Finding]:
    if canary is None or canary["error"] is None:
        return []
    text = f"the last canary, {canary['time']}: {canary['error']}"
    return [_bad(text, "journalctl -u ipvs-estoff-guard tells more", Severity.WARNING)]


def _counters(counters: Mapping[str, Any]) -> List[Finding]:
    facts: Sequence[Tuple[str, str]] = (
        ("passes_leaked", "passes of estimation that have leaked, at most"),
        ("events_lost", "times that events of the kernel were lost"),
        ("failures", "writes that failed"),
    )
    return [
        _bad(f"{text}, since its start: {counters[name]}", "ipvsd status tells more", Severity.HINT)
        for name, text in facts
        if counters[name]
    ]


def _bad(text: str, advice: str, severity: Severity = Severity.PROBLEM) -> Finding:
    return Finding(TOPIC, severity, text, (), advice)
