"""What the system lets the guard do: tracing, security modules, containers, capabilities."""

import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.doctor.diagnosis import Finding, Line, Severity

TRACING = "tracing"
SECURITY = "security"
CALLER = "caller"
SANDBOX = "sandbox"
LIBRARIES = "libraries"

LOCKDOWN_FILE = "sys/kernel/security/lockdown"
SELINUX_FILE = "sys/fs/selinux/enforce"
APPARMOR_FILE = "sys/module/apparmor/parameters/enabled"
# Each is made by a container engine, or by systemd in one.
CONTAINER_MARKS = ("run/systemd/container", "run/.containerenv", ".dockerenv")

# linux/capability.h: what the unit grants, and what goes without each.
CAPABILITIES = {
    21: ("CAP_SYS_ADMIN", "no namespace other than the host's can be entered"),
    19: ("CAP_SYS_PTRACE", "namespaces of other users' processes are not found"),
    12: ("CAP_NET_ADMIN", "a burst of kernel events is sooner lost"),
}
_DENIAL = re.compile(r"avc:  ?denied|apparmor=\"DENIED\"|type=1400\b.*denied|\bSECCOMP\b")
_OURS = re.compile(r"ipvsd|ipvs-estoff-guard|net/ipv4/vs|\brun_estimation\b")
_DENIALS_MAX = 5


class Environment(NamedTuple):
    """What was seen; texts of files are empty where there is none."""

    uid: int
    # Why kprobes through tracefs are not to be had; empty if they are, None without root.
    tracing: Optional[str]
    lockdown: str
    selinux: str
    apparmor: str
    containers: Sequence[str]  # the marks that are there
    messages: Optional[Sequence[str]]  # of the kernel and of auditd; None if they can't be read
    process: Mapping[str, str]  # the daemon's /proc/PID/status; empty if none runs
    psutil: bool = True  # whether it is installed


def check(seen: Environment) -> List[Finding]:
    """Return what stands in the guard's way."""
    findings = _caller(seen) + _tracing(seen) + _security(seen) + _libraries(seen)
    return findings + (check_process(seen.process) if seen.process else [])


def _caller(seen: Environment) -> List[Finding]:
    findings = []
    if seen.containers:
        text = "this is a container: the guard belongs on the host"
        evidence = tuple(map(Line, seen.containers))
        advice = "install it on the host; from there it guards the containers too"
        findings.append(Finding(CALLER, Severity.WARNING, text, evidence, advice))
    if seen.uid != 0:
        text = "not root: other namespaces, protected files and denials are left out"
        findings.append(Finding(CALLER, Severity.HINT, text, (), "run it as root for the rest"))
    return findings


def _tracing(seen: Environment) -> List[Finding]:
    if seen.tracing is None:
        return []
    locked = "[confidentiality]" in seen.lockdown
    if not seen.tracing and not locked:
        return [Finding(TRACING, Severity.OK, "births of namespaces can be told by a kprobe")]
    text = f"births of namespaces cannot be told by a kprobe: {seen.tracing or 'lockdown'}"
    advice = "nothing has to be done: new namespaces are found by looking every second"
    evidence = (Line(LOCKDOWN_FILE, 0, seen.lockdown),) if locked else ()
    if "No such file" in seen.tracing and not locked:
        advice = "mount -t tracefs tracefs /sys/kernel/tracing; without it they are looked for"
    return [Finding(TRACING, Severity.HINT, text, evidence, advice)]


def _libraries(seen: Environment) -> List[Finding]:
    if seen.psutil:
        return []
    text = "psutil is not installed: the cost of the daemon and the users of programs are unknown"
    advice = "install the package python3-psutil; the guard works without it"
    return [Finding(LIBRARIES, Severity.HINT, text, (), advice)]


def _security(seen: Environment) -> List[Finding]:
    messages = seen.messages or ()
    ours = [text for text in messages if _DENIAL.search(text) and _is_about_us(text, seen)]
    if ours:
        text = f"{len(ours)} actions of the guard were denied since boot"
        evidence = tuple(Line("journal", 0, one) for one in ours[-_DENIALS_MAX:])
        advice = "allow them in the local policy (SELinux: audit2allow), or report this"
        return [Finding(SECURITY, Severity.PROBLEM, text, evidence, advice)]
    active = []
    if seen.selinux:
        active.append("SELinux " + ("enforcing" if seen.selinux.strip() == "1" else "permissive"))
    if seen.apparmor.strip() == "Y":
        active.append("AppArmor")
    if seen.lockdown:
        active.append("lockdown " + lockdown_word(seen.lockdown))
    modules = ", ".join(active) or "no security module is active"
    if seen.messages is None:
        text = f"whether the guard was denied anything is not known ({modules})"
        advice = "`journalctl --dmesg` cannot be read here: be root, and see what it says"
        return [Finding(SECURITY, Severity.HINT, text, (), advice)]
    text = f"no denial found ({modules})"
    return [Finding(SECURITY, Severity.OK, text)]


def lockdown_word(text: str) -> str:
    """Return the state in brackets: none, integrity or confidentiality."""
    return text.partition("[")[2].partition("]")[0] or "unknown"


def _is_about_us(text: str, seen: Environment) -> bool:
    pid = seen.process.get("Pid", "")
    return bool(_OURS.search(text)) or bool(pid and re.search(rf"\bpid={pid}\b", text))


def parse_status(text: str) -> Dict[str, str]:
    """Return the fields of /proc/PID/status."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name: value.strip() for name, colon, value in pairs if colon}


def check_process(status: Mapping[str, str]) -> List[Finding]:
    """Return what the running daemon lacks of what its unit grants or asks for."""
    mask = _mask(status.get("CapEff", ""))
    pid = status.get("Pid", "?")
    findings = []
    for bit, (name, loss) in CAPABILITIES.items():
        if mask is not None and not mask & (1 << bit):
            text = f"the daemon (pid {pid}) lacks {name}: {loss}"
            advice = "look for drop-ins of the unit: systemctl cat ipvs-estoff-guard"
            findings.append(Finding(SANDBOX, Severity.WARNING, text, (), advice))
    if status.get("Seccomp") == "0":
        text = "systemd filters no system calls of the daemon"
        advice = "its sandbox is weaker than meant: is systemd here without libseccomp?"
        findings.append(Finding(SANDBOX, Severity.HINT, text, (), advice))
    return findings or [Finding(SANDBOX, Severity.OK, "the daemon has what it needs")]


def _mask(text: str) -> Optional[int]:
    try:
        return int(text, 16)
    except ValueError:
        return None
