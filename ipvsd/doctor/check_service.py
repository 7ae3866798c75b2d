"""Judges the service: what systemd reports of it, and what the daemon itself reports (pure)."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.model import NS_PER_S, NS_PER_US
from ipvsd.status import host_share
from ipvsd.text import format_duration, printable

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

# Settings of the unit with which the guard cannot work (systemd.exec(5)).
_FATAL = {
    "PrivateNetwork": (
        "yes",
        "the guard gets no events of the host and sees another namespace's values",
    ),
    "PrivateUsers": ("yes", "the guard's capabilities have no effect"),
    "ProcSubset": ("pid", "/proc/sys is hidden from the guard"),
}
_WRITABLE = "/proc/sys/net"
_WORKS = ("on", "off")
# A restart of the service, also by an upgrade, takes less than this.
_LONG_ABSENCE_NS = 60 * NS_PER_S
_BAD_STATES = ("contested", "not permitted", "refused", "unreadable")


class Service(NamedTuple):
    """Facts about the service."""

    properties: Optional[Mapping[str, str]]  # None where systemd does not answer
    daemon: Optional[Mapping[str, Any]]  # the daemon's state file, None if no daemon is seen
    running: Optional[bool]  # whether a daemon runs; None if that is unknown
    version: str  # of the command
    wheel_unit: str = ""  # the unit that pip has installed beside the command, if it has
    prefix: str = ""  # where pip has installed both


def parse_show(text: str) -> Dict[str, str]:
    """Return the properties in the output of `systemctl show`."""
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, equals, value in pairs if equals}


def check(service: Service) -> List[Finding]:
    """Return whether the service runs, is enabled, and works."""
    findings = []
    shown = service.properties
    if shown is None:
        text = "systemd does not answer: whether the service is enabled is unknown"
        findings.append(Finding(TOPIC, Severity.HINT, text))
    elif shown.get("LoadState") == "not-found":
        text = "the service is not installed"
        advice = "install the package, then: systemctl enable --now ipvs-estoff-guard"
        if service.wheel_unit:
            advice = f"sed 's|/usr/sbin/ipvsd|{service.prefix}/bin/ipvsd|' {service.wheel_unit} > "
            advice += f"/etc/systemd/system/{NAME}; then: systemctl enable --now {NAME}"
        return [Finding(TOPIC, Severity.HINT, text, (), advice)]
    else:
        findings += _state(shown) + _sandbox(shown)
    if service.daemon is not None:
        findings += _daemon(service.daemon, service.version)
    elif service.running is None:
        text = "cannot tell whether the daemon runs, and what it has done: its process is hidden "
        text += "from this user, or its state has another format"
        advice = "run it as root; after an update: systemctl restart ipvs-estoff-guard"
        findings.append(_bad(text, advice, Severity.HINT))
    elif shown is not None and not findings:
        text = "systemd reports that the service runs, but the daemon has published no state: what "
        text += "it has done is unknown"
        advice = "if this stays so: systemctl restart ipvs-estoff-guard"
        findings.append(_bad(text, advice, Severity.HINT))
    return findings or [Finding(TOPIC, Severity.OK, _well(service.daemon))]


def _well(daemon: Optional[Mapping[str, Any]]) -> str:
    absent = _absence(daemon["counters"]) if daemon is not None else ""
    if absent:
        return f"enabled, running, and nothing is known to have leaked; {absent}"
    return "enabled, running, and nothing has leaked"


def _state(shown: Mapping[str, str]) -> List[Finding]:
    findings = []
    if (shown.get("UnitFileState"), shown.get("ActiveState")) == ("disabled", "inactive"):
        text = "the service is installed, but neither enabled nor running: nothing is guarded yet"
        advice = "systemctl enable --now ipvs-estoff-guard"
        return [_bad(text, advice, Severity.WARNING)]
    if shown.get("LoadState") == "masked":
        findings.append(_bad("the service is masked", "systemctl unmask ipvs-estoff-guard"))
    elif shown.get("UnitFileState") == "disabled":
        text = "the service is not enabled: after a boot nothing is guarded"
        findings.append(_bad(text, "systemctl enable ipvs-estoff-guard", Severity.WARNING))
    if shown.get("ActiveState") == "failed":
        text = f"the service has failed ({shown.get('Result')}): nothing is guarded"
        findings.append(_bad(text, "journalctl -u ipvs-estoff-guard shows why"))
    elif shown.get("ActiveState") not in ("active", "reloading"):
        text = f"the service is {shown.get('ActiveState')}: nothing is guarded"
        findings.append(_bad(text, "systemctl start ipvs-estoff-guard"))
    if shown.get("NRestarts", "0") != "0":
        times = "once" if shown["NRestarts"] == "1" else f"{shown['NRestarts']} times"
        text = f"systemd had to restart the service {times}"
        advice = "journalctl -u ipvs-estoff-guard shows why"
        findings.append(_bad(text, advice, Severity.HINT))
    if shown.get("NeedDaemonReload") == "yes":
        text = "the unit has changed on disk, and systemd has not read it again"
        findings.append(_bad(text, "systemctl daemon-reload", Severity.HINT))
    return findings


def _sandbox(shown: Mapping[str, str]) -> List[Finding]:
    """Return the settings of the unit and its drop-ins with which the guard cannot work."""
    drop_ins = tuple(Line(path) for path in shown.get("DropInPaths", "").split())
    reasons = [
        f"{name}={bad}: {loss}" for name, (bad, loss) in _FATAL.items() if shown.get(name) == bad
    ]
    writable = shown.get("ReadWritePaths", _WRITABLE).split()
    if shown.get("ProtectKernelTunables") == "yes" and not any(map(_covers_sysctls, writable)):
        text = f"ProtectKernelTunables=yes without ReadWritePaths={_WRITABLE}"
        reasons.append(f"{text}: the guard cannot write the values")
    advice = "remove the drop-in, or the line in it: systemctl edit ipvs-estoff-guard"
    return [Finding(TOPIC, Severity.PROBLEM, text, drop_ins, advice) for text in reasons]


def _covers_sysctls(path: str) -> bool:
    return (_WRITABLE + "/").startswith(path.lstrip("-+").rstrip("/") + "/")


def _daemon(daemon: Mapping[str, Any], version: str) -> List[Finding]:
    findings = []
    if daemon["guard"] != version:
        text = f"version {daemon['guard']} is running, but version {version} is installed"
        advice = "systemctl restart ipvs-estoff-guard"
        findings.append(_bad(text, advice, Severity.WARNING))
    observes, share = daemon["mode"] == "observe", daemon.get("enforce_share")
    why = "mode = observe" if share is None else host_share.sentence(daemon["mode"], share)
    if observes:
        text = f"{printable(why)}: the guard only logs what it would write"
        findings.append(_bad(text, "", Severity.HINT))
    elif share is not None:
        findings.append(Finding(TOPIC, Severity.OK, printable(why)))
    findings += _sources(daemon["sources"]) + _canary(daemon["canary"])
    if daemon.get("shared_procfs"):
        text = (
            f"the guard has no procfs instance of its own: {daemon['shared_procfs']}; with "
            "thousands of namespaces its visits, and look-ups of other programs in /proc/sys/net, "
            "take longer"
        )
        advice = "nothing has to be done; Linux 5.8 and newer have such instances"
        findings.append(_bad(text, advice, Severity.HINT))
    bad = {state: daemon["states"][state] for state in _BAD_STATES if state in daemon["states"]}
    if bad:
        states = ", ".join(f"{count} {state}" for state, count in bad.items())
        text = f"namespaces that the guard cannot keep as wanted: {states}"
        advice = "ipvsd status lists them; journalctl -u ipvs-estoff-guard names the likely writers"
        findings.append(_bad(text, advice))
    return findings + _counters(daemon["counters"])


def _sources(sources: Mapping[str, str]) -> List[Finding]:
    lost = sorted((name, why) for name, why in sources.items() if why not in _WORKS)
    return [
        _bad(
            f"source {name} is lost: {why}",
            "nothing has to be done: the guard scans more often instead",
            Severity.HINT,
        )
        for name, why in lost
    ]


def _canary(canary: Optional[Mapping[str, Any]]) -> List[Finding]:
    if canary is None or canary["error"] is None:
        return []
    text = f"the last canary, {canary['time']}: {canary['error']}"
    return [_bad(text, "journalctl -u ipvs-estoff-guard shows more", Severity.WARNING)]


def _counters(counters: Mapping[str, Any]) -> List[Finding]:
    facts: Sequence[Tuple[str, str]] = (
        ("passes_leaked", "estimation runs that have leaked, at most"),
        ("events_lost", "times that events of the kernel were lost"),
        ("failures", "writes that failed"),
    )
    since = counters.get("since", "the daemon's start")  # 0.2.0 counts from there
    texts = [f"{text}, since {since}: {counters[name]}" for name, text in facts if counters[name]]
    if _not_counted_ns(counters) >= _LONG_ABSENCE_NS:
        texts.append(f"{_absence(counters)}: what has leaked then is unknown")
    return [_bad(text, "ipvsd status shows more", Severity.HINT) for text in texts]


def _not_counted_ns(counters: Mapping[str, Any]) -> int:
    return int(counters.get("not_counted_usec", 0)) * NS_PER_US


def _absence(counters: Mapping[str, Any]) -> str:
    absent_ns = _not_counted_ns(counters)
    return f"not counted for {format_duration(absent_ns)}, while no guard ran" if absent_ns else ""


def _bad(text: str, advice: str, severity: Severity = Severity.PROBLEM) -> Finding:
    return Finding(TOPIC, severity, text, (), advice)
