"""Judges where IPVS is used, and which programs read statistics that stand still (pure)."""

import re
from typing import Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.doctor.file_syntax import File, plain_lines

USE = "use of IPVS"
READERS = "readers of statistics"

# Programs that create IPVS services, by the name of the process; see known().
USERS = {
    "kube_proxy": "kube-proxy",
    "kube_router": "kube-router",
    "keepalived": "keepalived",
    "ldirectord": "ldirectord",
    "dockerd": "Docker (with Swarm, in namespaces of its own)",
}
_NODE_EXPORTER = "its collector ipvs, on by default, reads /proc/net/ip_vs_stats"
_EMBEDDED = "it contains node_exporter, whose collector ipvs is on by default, where configured"
# Programs that read IPVS statistics, always or if configured. The kernel keeps 15 characters of a
# name.
READING = {
    "node_exporter": _NODE_EXPORTER,
    "prometheus_node": _NODE_EXPORTER,
    "alloy": _EMBEDDED,
    "grafana_alloy": _EMBEDDED,
    "grafana_agent": _EMBEDDED,
    "categraf": "its input ipvs, where configured, reads them",
    "netdata": "reads /proc/net/ip_vs_stats",
    "telegraf": "its input ipvs, where configured, reads them by netlink",
    "collectd": "its plugin ipvs, where configured, reads them",
    "kube_router": "its metrics of services are IPVS statistics",
    "zabbix_agentd": "its user parameters may call ipvsadm",
    "zabbix_agent2": "its user parameters may call ipvsadm",
}
_VERSION = re.compile(r"_v?[0-9].*")
KEEPALIVED_FILES = ("etc/keepalived/*.conf", "etc/sysconfig/keepalived", "etc/default/keepalived")
SWARM = re.compile(r"/run/docker/netns/(?:ingress_sbox|lb_\w+)")
_READS_STATISTICS = re.compile(r"ipvsadm\b.*\s--?(?:\w*-)?(?:stats|rate)\b|\bip_vs_stats\b")
_SNMP_KEYWORD = re.compile(r"^enable_snmp_checker\b")
_SNMP_OPTION = re.compile(
    r"""^(?:KEEPALIVED_OPTIONS|DAEMON_ARGS)=.*(?:\s|["'])(?:--snmp\b|-\w*x\w*)"""
)
# How many lines of evidence are enough.
_EVIDENCE_MAX = 5


class Program(NamedTuple):
    """A process: its name in the kernel, and whether it is in the host's namespace."""

    pid: int
    name: str
    on_host: Optional[bool] = None  # None: unknown without root
    user: str = ""  # empty: unknown, or not needed

    @property
    def line(self) -> Line:
        """The process as evidence."""
        where = " in the host's namespace" if self.on_host else " in another namespace"
        user = f" of {self.user}" if self.user else ""
        shown = "" if self.on_host is None else where
        return Line(f"pid {self.pid}", 0, f"{self.name}{user}{shown}")


def known(name: str, programs: Mapping[str, str]) -> str:
    """Return the name in a table for the name of a process, empty if it is not there.

    Programs are called with hyphens or underscores, and with a version behind the name.
    """
    plain = name.replace("-", "_")
    return next((one for one in (plain, _VERSION.sub("", plain)) if one in programs), "")


class Usage(NamedTuple):
    """Facts about the use of IPVS; the numbers count services and real servers together."""

    loaded: bool
    host: Optional[int]
    others: Sequence[Tuple[str, Optional[int]]]  # the other namespaces; None: unknown
    root: bool  # whether the caller may enter other namespaces
    host_only: bool  # scope = host is configured
    excluding: bool  # whether `others` lacks namespaces that the configuration excludes
    programs: Sequence[Program]


def check_use(usage: Usage) -> List[Finding]:
    """Return where services are, what creates them, and whether container namespaces matter."""
    users = [program.line for program in usage.programs if known(program.name, USERS)]
    swarm = [Line(name) for name, _ in usage.others if SWARM.search(name)]
    evidence = tuple(users[:_EVIDENCE_MAX] + swarm[:_EVIDENCE_MAX])
    if not usage.loaded:
        return [Finding(USE, Severity.OK, "not used now: ip_vs is not loaded", evidence)]
    number = "unknown" if usage.host is None else str(usage.host)
    text = f"services and real servers in the host's namespace: {number}"
    findings = [Finding(USE, Severity.OK, text, evidence)]
    if not usage.root:
        text = "other namespaces cannot be entered without root"
        advice = "to check these too, run it as root"
        return [*findings, Finding(USE, Severity.HINT, text, (), advice)]
    return [*findings, _others(usage)]


def _others(usage: Usage) -> Finding:
    using = [(name, count) for name, count in usage.others if count]
    without = " (without those that the configuration excludes)" if usage.excluding else ""
    number = f"{len(usage.others)}{without}"
    if not using:
        text = f"container namespaces do not matter now: none of {number} has services"
        return Finding(USE, Severity.OK, text)
    using.sort(key=lambda one: -(one[1] or 0))
    evidence = tuple(Line(name, 0, f"{count}") for name, count in using[:_EVIDENCE_MAX])
    have = "has" if len(using) == 1 else "have"
    text = f"container namespaces matter: {len(using)} of {number} {have} services"
    if usage.host_only:
        advice = "only the host's namespace is guarded now: set scope = all under [namespaces]"
        return Finding(USE, Severity.WARNING, text, evidence, advice)
    return Finding(USE, Severity.OK, text, evidence)


def check_readers(
    programs: Iterable[Program], files: Sequence[File], hidden: bool = False
) -> List[Finding]:
    """Return which programs read statistics that will stand still.

    `files` are cron tables, units and the files of keepalived. `hidden` says that the processes of
    other users cannot be seen.
    """
    findings = []
    if hidden:
        text = "cannot tell which programs run: /proc hides the processes of other users"
        findings.append(
            Finding(READERS, Severity.HINT, text, (), "to check these too, run it as root")
        )
    running = [(known(program.name, READING), program) for program in programs]
    for name, how in sorted(READING.items()):
        found = [program for key, program in running if key == name]
        if found:
            evidence = tuple(program.line for program in found)
            text = f"{found[0].name} is running: {how}"
            shown = evidence[:_EVIDENCE_MAX]
            findings.append(Finding(READERS, Severity.HINT, text, shown, _FREEZE))
    for file in files:
        for logical in plain_lines(file, "#;!"):
            if _READS_STATISTICS.search(logical.text):
                text = "a cron line, script or unit reads statistics of IPVS"
                findings.append(_certain(text, logical.line))
            elif _SNMP_KEYWORD.search(logical.text) or _SNMP_OPTION.search(logical.text):
                text = "keepalived reports statistics of IPVS by SNMP"
                findings.append(_certain(text, logical.line))
    text = "none found (programs, cron, units, keepalived)"
    return findings or [Finding(READERS, Severity.OK, text)]


_FREEZE = "while estimation is off it shows the last figures: warn the people who use them"


def _certain(text: str, line: Line) -> Finding:
    return Finding(READERS, Severity.WARNING, text, (line,), _FREEZE)
