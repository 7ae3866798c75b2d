"""Judges what the system permits: tracing, security modules, containers, capabilities (pure)."""

import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from ipvsd.doctor.diagnosis import Finding, Line, Severity

TRACING = "tracing"
SECURITY = "security"
CALLER = "caller"
SANDBOX = "sandbox"
LIBRARIES = "libraries"
USERS = "users"

LOCKDOWN_FILE = "sys/kernel/security/lockdown"
SELINUX_FILE = "sys/fs/selinux/enforce"
APPARMOR_FILE = "sys/module/apparmor/parameters/enabled"
# Files that a container engine creates, or systemd in a container.
CONTAINER_MARKS = ("run/systemd/container", "run/.containerenv", ".dockerenv")

# linux/capability.h: the capabilities that the unit grants, and what does not work without each.
CAPABILITIES = {
    21: ("CAP_SYS_ADMIN", "no namespace other than the host's can be entered"),
    19: ("CAP_SYS_PTRACE", "namespaces of other users' processes are not found"),
    2: (
        "CAP_DAC_READ_SEARCH",
        "namespaces that only a descriptor of another user's holds are missed",
    ),
    12: ("CAP_NET_ADMIN", "events of the kernel are more easily lost in a burst"),
}
# Sysctls below /proc/sys: how many network namespaces each user may create, root included, and
# whether ordinary users may create any (Documentation/admin-guide/sysctl/user.rst; the second is
# Debian's, the fourth Ubuntu's; both may be missing).
NAMESPACES_MAX = "user.max_net_namespaces"
_USERS_MAX = "user.max_user_namespaces"
_CLONE = "kernel.unprivileged_userns_clone"
_RESTRICTED = "kernel.apparmor_restrict_unprivileged_userns"
LIMITS = (NAMESPACES_MAX, _USERS_MAX, _CLONE, _RESTRICTED)
_MANY = 5000
_NUMBER = re.compile(r"[0-9]{1,19}")
_DENIAL = re.compile(r"avc:  ?denied|apparmor=\"DENIED\"|type=1400\b.*denied|\bSECCOMP\b")
_OURS = re.compile(r"ipvsd|ipvs-estoff-guard|net/ipv4/vs|\brun_estimation\b")
_DENIALS_MAX = 5


class Environment(NamedTuple):
    """Facts about the system; the text of a file is empty where there is no file."""

    uid: int
    # Why kprobes through tracefs are unavailable; empty if they are available, None without root.
    tracing: Optional[str]
    lockdown: str
    selinux: str
    apparmor: str
    containers: Sequence[str]  # the CONTAINER_MARKS that exist
    messages: Optional[Sequence[str]]  # of the kernel and of auditd; None if they can't be read
    process: Mapping[str, str]  # the daemon's /proc/PID/status; empty if none runs
    psutil: bool = True  # whether it is installed
    limits: Mapping[str, str] = {}  # the values of LIMITS, empty for one that cannot be read


def check(facts: Environment) -> List[Finding]:
    """Return what prevents the guard from working, or limits it."""
    findings = _caller(facts) + _tracing(facts) + _security(facts) + _libraries(facts)
    findings += _users(facts.limits)
    return findings + (check_process(facts.process) if facts.process else [])


def _caller(facts: Environment) -> List[Finding]:
    findings = []
    if facts.containers:
        text = "this is a container, but the guard belongs on the host"
        evidence = tuple(map(Line, facts.containers))
        advice = "install the guard on the host, where it also guards the containers"
        findings.append(Finding(CALLER, Severity.WARNING, text, evidence, advice))
    if facts.uid != 0:
        text = "not root: other namespaces, protected files and denials are not checked"
        advice = "to check these too, run it as root"
        findings.append(Finding(CALLER, Severity.HINT, text, (), advice))
    return findings


def _tracing(facts: Environment) -> List[Finding]:
    if facts.tracing is None:
        return []
    locked = "[confidentiality]" in facts.lockdown
    if not facts.tracing and not locked:
        return [Finding(TRACING, Severity.OK, "births of namespaces can be reported by a kprobe")]
    text = f"births of namespaces cannot be reported by a kprobe: {facts.tracing or 'lockdown'}"
    advice = "nothing has to be done: the guard scans for new namespaces every second"
    evidence = (Line(LOCKDOWN_FILE, 0, facts.lockdown),) if locked else ()
    if "No such file" in facts.tracing and not locked:
        advice = "mount -t tracefs tracefs /sys/kernel/tracing; until then the guard scans for "
        advice += "new namespaces every second"
    return [Finding(TRACING, Severity.HINT, text, evidence, advice)]


def _libraries(facts: Environment) -> List[Finding]:
    if facts.psutil:
        return []
    text = "psutil is not installed: the users of programs are unknown"
    advice = "install the package python3-psutil; the guard works without it"
    return [Finding(LIBRARIES, Severity.HINT, text, (), advice)]


def _users(limits: Mapping[str, str]) -> List[Finding]:
    """Return a hint if any user may create thousands of namespaces."""
    texts = {name: limits.get(name, "").strip() for name in LIMITS}
    most = texts[NAMESPACES_MAX]
    barred = "0" in (texts[_USERS_MAX], texts[_CLONE]) or texts[_RESTRICTED] == "1"
    if barred or not texts[_USERS_MAX] or not _NUMBER.fullmatch(most) or int(most) <= _MANY:
        return []
    text = (
        f"each user may create {int(most):,} network namespaces: thousands cost memory of the "
        "kernel, and time of everything that looks at all of them, like the guard"
    )
    advice = (
        f"write `{NAMESPACES_MAX} = 1000` to a file in /etc/sysctl.d, or more if one user has more "
        "containers; root's containers count too"
    )
    evidence = (Line(f"proc/sys/{NAMESPACES_MAX.replace('.', '/')}", 0, most),)
    return [Finding(USERS, Severity.HINT, text, evidence, advice)]


def _security(facts: Environment) -> List[Finding]:
    messages = facts.messages or ()
    ours = [text for text in messages if _DENIAL.search(text) and _is_about_us(text, facts)]
    if ours:
        were = "action of the guard was" if len(ours) == 1 else "actions of the guard were"
        text = f"{len(ours)} {were} denied since boot"
        evidence = tuple(Line("journal", 0, one) for one in ours[-_DENIALS_MAX:])
        advice = "allow them in the local policy (SELinux: audit2allow), or report this"
        return [Finding(SECURITY, Severity.PROBLEM, text, evidence, advice)]
    active = []
    if facts.selinux:
        active.append("SELinux " + ("enforcing" if facts.selinux.strip() == "1" else "permissive"))
    if facts.apparmor.strip() == "Y":
        active.append("AppArmor")
    if facts.lockdown:
        active.append("lockdown " + lockdown_word(facts.lockdown))
    modules = ", ".join(active) or "no security module is active"
    if facts.messages is None:
        text = f"whether an action of the guard was denied is unknown ({modules})"
        advice = "the messages of the kernel cannot be read: run `journalctl --dmesg` as root"
        return [Finding(SECURITY, Severity.HINT, text, (), advice)]
    text = f"no denial found ({modules})"
    return [Finding(SECURITY, Severity.OK, text)]


def lockdown_word(text: str) -> str:
    """Return the state of lockdown, which is in brackets: none, integrity or confidentiality."""
    return text.partition("[")[2].partition("]")[0] or "unknown"


def _is_about_us(text: str, facts: Environment) -> bool:
    pid = facts.process.get("Pid", "")
    return bool(_OURS.search(text)) or bool(pid and re.search(rf"\bpid={pid}\b", text))


def parse_status(text: str) -> Dict[str, str]:
    """Return the fields of /proc/PID/status."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name: value.strip() for name, colon, value in pairs if colon}


def check_process(status: Mapping[str, str]) -> List[Finding]:
    """Return what the running daemon lacks although its unit grants or requests it."""
    mask = _mask(status.get("CapEff", ""))
    pid = status.get("Pid", "?")
    findings = []
    for bit, (name, loss) in CAPABILITIES.items():
        if mask is not None and not mask & (1 << bit):
            text = f"the daemon (pid {pid}) lacks {name}: {loss}"
            advice = "check the drop-ins of the unit: systemctl cat ipvs-estoff-guard"
            findings.append(Finding(SANDBOX, Severity.WARNING, text, (), advice))
    if status.get("Seccomp") == "0":
        text = "the sandbox of the daemon does not filter system calls"
        advice = "systemd here may have been built without libseccomp; the guard works all the same"
        findings.append(Finding(SANDBOX, Severity.HINT, text, (), advice))
    return findings or [Finding(SANDBOX, Severity.OK, "the daemon has what it needs")]


def _mask(text: str) -> Optional[int]:
    try:
        return int(text, 16)
    except ValueError:
        return None
