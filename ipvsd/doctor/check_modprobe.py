"""Finds hooks on ip_vs in modprobe.d, and returns the text with them commented out (pure)."""

from typing import List, NamedTuple, Sequence

from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.doctor.file_syntax import File, LogicalLine, continued_lines, matches

TOPIC = "modprobe files"
# modprobe.d(5); the first ranks first.
FOLDERS = (
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
)
MODULE = "ip_vs"
NOTE = "# Commented out by `ipvsd doctor --fix`: ipvs-estoff-guard sets the value now."
_SETS_SYSCTLS = ("sysctl", "run_estimation", "net/ipv4/vs")
_DOES_NOTHING = ("false", "true")

_HAZARD = (
    "the install hook of ip_vs makes the load fail if any line of the sysctl file fails, "
    "loses options given to modprobe, is skipped by insmod and may be denied by SELinux"
)


class Directive(NamedTuple):
    """A line of modprobe.d: its first two words, the rest, and its place."""

    verb: str
    module: str
    rest: str
    place: LogicalLine


def parse(file: File) -> List[Directive]:
    """Return the lines that are about a module."""
    found = []
    for logical in continued_lines(file):
        words = logical.text.split(None, 2)
        if len(words) > 1:
            # kmod treats - and _ as the same, everywhere in a module's name.
            rest = words[2] if words[2:] else ""
            found.append(Directive(words[0], words[1].replace("-", "_"), rest, logical))
    return found


def is_hook(directive: Directive) -> bool:
    """Return whether a line sets sysctls when ip_vs, or a module that belongs to it, is loaded."""
    sets = any(word in directive.rest for word in _SETS_SYSCTLS)
    return sets and directive.verb == "install" and _is_about_ip_vs(directive)


def _is_about_ip_vs(directive: Directive) -> bool:
    named = directive.module == MODULE or directive.module.startswith(MODULE + "_")
    return named or matches(directive.module, MODULE)


def hooks(file: File) -> List[Directive]:
    """Return the hooks in a file."""
    return [directive for directive in parse(file) if is_hook(directive)]


def check(files: Sequence[File], fixable: Sequence[str]) -> List[Finding]:
    """Return what the files do when ip_vs is loaded; `fixable` are the paths that --fix changes."""
    findings = []
    for file in files:
        for directive in parse(file):
            if is_hook(directive):
                findings.append(_hook(directive, file.path in fixable))
            elif directive.verb in ("install", "blacklist") and directive.module == MODULE:
                findings.append(_other(directive))
    if not findings:
        text = f"none of {len(files)} files has a hook on {MODULE}"
        findings.append(Finding(TOPIC, Severity.OK, text))
    return findings


def _hook(directive: Directive, fixable: bool) -> Finding:
    line = directive.place.line
    if fixable:
        advice = "remove the hook: `ipvsd doctor --fix` comments it out and keeps a copy of the "
        advice += "file"
    else:
        name = line.path.rpartition("/")[2]
        advice = f"hide the file (ln -s /dev/null /etc/modprobe.d/{name}), or remove its package"
    return Finding(TOPIC, Severity.PROBLEM, _HAZARD, (line,), advice)


def _other(directive: Directive) -> Finding:
    line = directive.place.line
    if directive.verb == "blacklist":
        text = f"{MODULE} is blacklisted: it is loaded by its name, but not by its aliases"
        return Finding(TOPIC, Severity.HINT, text, (line,))
    command = directive.rest.split(None, 1)[:1]
    if command and command[0].rpartition("/")[2] in _DOES_NOTHING:
        text = f"{MODULE} cannot be loaded by modprobe, probably on purpose"
        advice = f"if so, nothing has to be done: without {MODULE} there is no estimation"
        return Finding(TOPIC, Severity.HINT, text, (line,), advice)
    text = f"{MODULE} is loaded by the command in this line, not by modprobe itself"
    advice = f"check the command: if it fails, {MODULE} is not loaded"
    return Finding(TOPIC, Severity.WARNING, text, (line,), advice)


def comment_out(file: File) -> str:
    """Return the text with its hooks, and their continuation lines, commented out."""
    lines = file.text.split("\n")
    for directive in reversed(hooks(file)):
        first = directive.place.line.number - 1
        last = first + directive.place.length
        lines[first:last] = [NOTE, *("# " + line for line in lines[first:last])]
    return "\n".join(lines)


def fixed(file: File) -> List[Line]:
    """Return the lines that comment_out() changes."""
    return [directive.place.line for directive in hooks(file)]
