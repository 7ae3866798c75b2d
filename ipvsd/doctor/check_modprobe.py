"""Finds hooks on ip_vs in modprobe.d, and returns the text with them commented out (pure)."""

from typing import Callable, Dict, List, NamedTuple, Sequence

from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.doctor.file_syntax import File, LogicalLine, continued_lines, matches
from ipvsd.doctor.install_hook import loaded_files

TOPIC = "modprobe files"
# modprobe.d(5); the first ranks first.
FOLDERS = (
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
)
# kmod reads both, and no hidden file (conf_files_filter_out() in libkmod-config.c).
SUFFIXES = (".conf", ".alias")
MODULE = "ip_vs"
NOTE = "# Commented out by `ipvsd doctor --fix`: ipvs-estoff-guard sets the value now."
_SETS_SYSCTLS = ("sysctl", "run_estimation", "net/ipv4/vs")
_LOADERS = ("modprobe", "insmod")
_DOES_NOTHING = ("false", "true")
_KEYS_SHOWN = 5
# Returns what would be lost if these files of sysctls were applied only at boot.
Lost = Callable[[Sequence[str]], Sequence[str]]

_HAZARD = (
    "the install hook of ip_vs makes the load fail if any line of the sysctl file fails, "
    "loses options given to modprobe, is skipped by insmod and may be denied by SELinux"
)


class Directive(NamedTuple):
    """A line of modprobe.d: its first two words, the rest, and its place."""

    verb: str
    module: str  # a name or a glob
    rest: str
    place: LogicalLine

    @property
    def is_hook(self) -> bool:
        """Whether it sets sysctls when ip_vs, or a module that belongs to it, is loaded."""
        return self.verb == "install" and any(word in self.rest for word in _SETS_SYSCTLS)

    def why_kept(self, lost: Lost) -> str:
        """Return why --fix leaves a hook as it is, and what to do; empty if it is removable."""
        if not any(word in self.rest for word in _LOADERS):
            return (
                "the line has no modprobe, so `ipvsd doctor --fix` leaves it as it is: if it is to "
                f"keep {self.module} from being loaded, nothing has to be done; else remove it"
            )
        own = self.module.split("*")[0].startswith(MODULE)
        files = loaded_files(self.rest, self.module) if own else None
        if files is None:
            return (
                "the line also does something else, so `ipvsd doctor --fix` leaves it as it is: "
                "remove what sets the sysctls from it"
            )
        keys = lost(files)
        if not keys:
            return ""
        more = f" and {len(keys) - _KEYS_SHOWN} more" if keys[_KEYS_SHOWN:] else ""
        return (
            "the line also sets what a boot may not set, so `ipvsd doctor --fix` leaves it as it "
            f"is: {', '.join(keys[:_KEYS_SHOWN])}{more}; see to it that these are set without the "
            "line (a key of a module: if /etc/modules-load.d names the module), then remove it"
        )

    def is_for(self, module: str) -> bool:
        """Return whether it is about a module."""
        return self.module == module or matches(self.module, module)


def parse(file: File) -> List[Directive]:
    """Return the lines that are about ip_vs, or about a module that belongs to it."""
    found = []
    for logical in continued_lines(file):
        words = logical.text.split(None, 2)
        if len(words) > 1:
            # kmod treats - and _ as the same, everywhere in a module's name.
            rest = words[2] if words[2:] else ""
            found.append(Directive(words[0], words[1].replace("-", "_"), rest, logical))
    return [one for one in found if any(map(one.is_for, _modules([one])))]


def _modules(directives: Sequence[Directive]) -> List[str]:
    """Return ip_vs and the modules named in the lines that belong to it."""
    named = {one.module for one in directives if one.module.startswith(MODULE + "_")}
    return [MODULE, *sorted(named)]


def _first_to_run(directives: Sequence[Directive]) -> Dict[Directive, Directive]:
    """Return for each install line the one that modprobe runs instead, or the line itself.

    For each module modprobe runs only the first install line in the order of the file names
    (kmod_module_get_install_commands() in libkmod-module.c).
    """
    installs = [one for one in directives if one.verb == "install"]
    found: Dict[Directive, Directive] = {}
    for module in _modules(installs):
        lines = [one for one in installs if one.is_for(module)]
        for one in lines:
            if one is lines[0]:
                found[one] = one
            found.setdefault(one, lines[0])
    return found


def check(files: Sequence[File], changeable: Sequence[str], lost: Lost) -> List[Finding]:
    """Return what the files do when ip_vs is loaded; --fix may change `changeable` paths."""
    directives = [directive for file in files for directive in parse(file)]
    first = _first_to_run(directives)
    findings = []
    for one in directives:
        if first.get(one, one) is not one:
            findings.append(_never_runs(one, first[one]))
        elif one.is_hook:
            findings.append(_hook(one, one.place.line.path in changeable, lost))
        elif one.verb in ("install", "blacklist") and one.is_for(MODULE):
            findings.append(_other(one))
    if not findings:
        text = f"none of {len(files)} files has a hook on {MODULE}"
        findings.append(Finding(TOPIC, Severity.OK, text))
    return findings


def _never_runs(directive: Directive, first: Directive) -> Finding:
    text = f"this install line of {directive.module} never runs: modprobe runs only the first one, "
    text += "in the order of the file names"
    evidence = (directive.place.line, first.place.line)
    advice = "remove the first of these lines: it would run if the other one were removed"
    return Finding(TOPIC, Severity.HINT, text, evidence, advice)


def _hook(directive: Directive, changeable: bool, lost: Lost) -> Finding:
    line = directive.place.line
    advice = directive.why_kept(lost)
    if not advice and changeable:
        advice = "remove the hook: `ipvsd doctor --fix` comments it out and keeps a copy of the "
        advice += "file"
    elif not advice:
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


def to_remove(
    files: Sequence[File], changeable: Sequence[str], lost: Lost
) -> Dict[str, List[Directive]]:
    """Return the hooks that --fix removes, by path: those that run, or would run without others."""
    left = [directive for file in files for directive in parse(file)]
    removable = {
        one
        for one in left
        if one.is_hook and one.place.line.path in changeable and not one.why_kept(lost)
    }
    found: Dict[str, List[Directive]] = {}
    while True:
        runs = {line for line, first in _first_to_run(left).items() if line is first}
        removed = [one for one in left if one in runs and one in removable]
        if not removed:
            return found
        for one in removed:
            found.setdefault(one.place.line.path, []).append(one)
            left.remove(one)


def comment_out(file: File, directives: Sequence[Directive]) -> str:
    """Return the text with these directives, and their continuation lines, commented out."""
    lines = file.text.split("\n")
    for directive in sorted(directives, key=lambda one: -one.place.line.number):
        first = directive.place.line.number - 1
        last = first + directive.place.length
        lines[first:last] = [NOTE, *("# " + line for line in lines[first:last])]
    return "\n".join(lines)
