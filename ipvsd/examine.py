"""The doctor's round: observe with the layers below, and have the pure checks judge it."""

import os
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ipvsd import __version__
from ipvsd.core.checks import (
    environment,
    guarded,
    modprobe_files,
    other_writers,
    service,
    sysctl_files,
    usage,
)
from ipvsd.core.checks import kernel as kernel_check
from ipvsd.core.config import ConfigError, parse
from ipvsd.core.diagnosis import Diagnosis, Finding, Line, Severity
from ipvsd.core.model import GuardError, Reason, Scope
from ipvsd.core.sysfiles import File
from ipvsd.core.values import RUN_ESTIMATION
from ipvsd.guard import Guard
from ipvsd.host import children, conffiles, repair, state
from ipvsd.host.sysfiles import Reader
from ipvsd.kernel import births, ipvs, module, modulefile, processes
from ipvsd.tour import Tour

_AUDIT_LOG = "var/log/audit/audit.log"
_RELEASE = "proc/sys/kernel/osrelease"
# Of the kernel's messages since boot: denials of today, not the story of a year.
_MESSAGES_MAX = 2000
_REPORT_IT = "this is a defect of ipvsd: please report it, with the output of `ipvsd doctor --json`"
_UNREADABLE_SHOWN = 5


class Fixed(NamedTuple):
    """A file that was changed: where it was before is the copy."""

    path: str
    copy: str
    lines: Tuple[Line, ...]


def fix(root: str) -> List[Fixed]:
    """Comment out the hooks in files below /etc that modprobe reads. Raises GuardError."""
    done = []
    for file in Reader(root).folders(modprobe_files.FOLDERS, ".conf"):
        if modprobe_files.hooks(file) and _is_fixable(root, file):
            copy = repair.replace(file.path, file.text, modprobe_files.comment_out(file))
            done.append(Fixed(file.path, copy, tuple(modprobe_files.fixed(file))))
    return done


def _is_fixable(root: str, file: File) -> bool:
    etc = os.path.realpath(os.path.join(root, "etc"))
    return os.path.realpath(file.path).startswith(etc + "/")


def _same(file: File, others: Sequence[File]) -> File:
    for other in others:
        if os.path.realpath(file.path) == os.path.realpath(other.path):
            return other
    return file


class Examination:
    """One round: what several checks need is looked at once."""

    def __init__(self, root: str, places: conffiles.Places) -> None:
        self._root = root
        self._places = places
        self._files = Reader(root)
        self._guard = Guard(root)
        self._policy = parse([]).policy  # until the configuration has been read
        self._daemon = state.RuntimeFolder(root).daemon()
        self._supported: Optional[bool] = None
        self._seen_programs: Optional[List[usage.Program]] = None
        self._seen_scripts: Optional[List[File]] = None

    def diagnose(self) -> Diagnosis:
        """Make all checks; one that is broken is told among the findings, and hides no other."""
        checks: Sequence[Tuple[str, Callable[[], List[Finding]]]] = (
            (guarded.CONFIGURATION, self._configuration),
            (kernel_check.TOPIC, self._kernel),
            (guarded.VALUES, self._values),
            (sysctl_files.TOPIC, self._sysctl_files),
            (modprobe_files.TOPIC, self._modprobe_files),
            (other_writers.UDEV, self._udev),
            (other_writers.TUNED, self._tuned),
            (other_writers.SCRIPTS, self._scripts),
            (other_writers.CONTAINERS, self._containers),
            (usage.USE, self._use),
            (usage.READERS, self._readers),
            (environment.SECURITY, self._environment),
            (service.TOPIC, self._service),
            ("files", self._unreadable),
        )
        findings: List[Finding] = []
        failed = []
        for topic, check in checks:
            try:
                findings += check()
            except Exception as error:
                text = f"could not be checked: {type(error).__name__}: {error}"
                findings.append(Finding(topic, Severity.WARNING, text, (), _REPORT_IT))
                failed.append(topic)
        return Diagnosis(tuple(findings), self._supported, tuple(failed))

    def _programs(self) -> List[usage.Program]:
        if self._seen_programs is None:
            self._seen_programs = processes.programs(self._root, self._guard.host.identity)
        return self._seen_programs

    def _script_files(self) -> List[File]:
        if self._seen_scripts is None:
            files = self._files.matching(*other_writers.SCRIPT_FILES)
            units = self._files.folders(other_writers.UNIT_FOLDERS, ".service")
            self._seen_scripts = files + units
        return self._seen_scripts

    def _wanted(self) -> Mapping[str, str]:
        return {setting.key: setting.wanted for setting in self._policy.settings}

    def _configuration(self) -> List[Finding]:
        try:
            config = conffiles.load(self._places)
        except ConfigError as error:
            return guarded.check_configuration(error.problems, ())
        except GuardError as error:
            return guarded.check_configuration((str(error),), ())
        self._policy = config.policy
        return guarded.check_configuration((), config.warnings)

    def _kernel(self) -> List[Finding]:
        release = self._files.text(_RELEASE).strip() or os.uname().release
        seen = kernel_check.Kernel(
            release,
            module.state(self._root),
            self._guard.read(RUN_ESTIMATION),
            ipvs.has_kthreads(self._root),
            modulefile.inspect(self._root, release),
        )
        self._supported = kernel_check.supported(seen)
        return kernel_check.check(seen)

    def _values(self) -> List[Finding]:
        if not module.state(self._root).loaded:
            return []  # there are none, nor is anything mounted below the root of an image
        host = self._guard.look_at_host(self._policy, Reason.APPLY, dry=True).seen[0]
        mode = self._daemon["mode"] if self._daemon is not None else None
        return guarded.check_values(host.keys, mode)

    def _sysctl_files(self) -> List[Finding]:
        last = self._files.file(sysctl_files.LAST_FILE)
        boot = self._files.folders(sysctl_files.FOLDERS, ".conf")
        # A link to sysctl.conf is sysctl.conf: whoever reads the finding wants that name.
        boot = [_same(file, last) for file in boot]
        return sysctl_files.check(sysctl_files.Sources(boot, boot + last), self._wanted())

    def _modprobe_files(self) -> List[Finding]:
        files = self._files.folders(modprobe_files.FOLDERS, ".conf")
        fixable = [file.path for file in files if _is_fixable(self._root, file)]
        return modprobe_files.check(files, fixable)

    def _udev(self) -> List[Finding]:
        return other_writers.check_udev(self._files.folders(other_writers.UDEV_FOLDERS, ".rules"))

    def _tuned(self) -> List[Finding]:
        profiles: Dict[str, File] = {}
        for folder in other_writers.TUNED_FOLDERS:  # the last ranks first
            for file in self._files.matching(f"{folder}/*/tuned.conf"):
                profiles[file.path.split("/")[-2]] = file
        active = tuple(self._files.text("etc/tuned/active_profile").split())
        return other_writers.check_tuned(other_writers.Tuned(active, profiles), self._wanted())

    def _scripts(self) -> List[Finding]:
        return other_writers.check_scripts(self._script_files())

    def _containers(self) -> List[Finding]:
        kubelet = other_writers.check_kubelet(self._files.matching(*other_writers.KUBELET_FILES))
        bundles = self._files.matching(*other_writers.BUNDLE_FILES)
        return kubelet + other_writers.check_containers(bundles, self._wanted())

    def _use(self) -> List[Finding]:
        loaded = module.state(self._root).loaded
        (_, host), *others = self._services() if loaded else [("", None)]
        is_root, host_only = os.geteuid() == 0, self._policy.scope is Scope.HOST
        seen = usage.Usage(loaded, host, others, is_root, host_only, self._programs())
        return usage.check_use(seen)

    def _services(self) -> List[Tuple[str, Optional[int]]]:
        """The namespaces, the host's first, and how many services and real servers each has."""
        tour = Tour(self._policy._replace(scope=Scope.ALL, exclusions=()), self._root)
        try:
            found = tour.read(lambda: ipvs.facts(self._root, exactly=True))
        finally:
            tour.close()
        return [(str(space), facts and facts.estimators) for space, facts in found]

    def _readers(self) -> List[Finding]:
        files = self._script_files() + self._files.matching(*usage.KEEPALIVED_FILES)
        return usage.check_readers(self._programs(), files)

    def _environment(self) -> List[Finding]:
        is_root = os.geteuid() == 0
        obstacle = births.obstacle(self._root) if is_root else None
        tracing = f"{obstacle.filename}: {obstacle.strerror}" if obstacle is not None else ""
        marks = [os.path.join(self._root, name) for name in environment.CONTAINER_MARKS]
        return environment.check(
            environment.Environment(
                os.geteuid(),
                tracing if is_root else None,
                self._files.text(environment.LOCKDOWN_FILE).strip(),
                self._files.text(environment.SELINUX_FILE),
                self._files.text(environment.APPARMOR_FILE),
                [mark for mark in marks if os.path.exists(mark)],
                self._messages() if is_root else None,
                processes.status(self._root, self._daemon["pid"]) if self._daemon else {},
            )
        )

    def _messages(self) -> Optional[List[str]]:
        """The messages of the kernel and of auditd; None if they cannot be read."""
        shown = children.kernel_messages(_MESSAGES_MAX) if self._is_live() else ""
        return None if shown is None else f"{shown}\n{self._files.tail(_AUDIT_LOG)}".split("\n")

    def _service(self) -> List[Finding]:
        shown = None
        if self._is_live():
            shown = children.unit_properties(service.NAME, service.PROPERTIES)
        properties = service.parse_show(shown) if shown is not None else None
        return service.check(service.Service(properties, self._daemon, __version__))

    def _unreadable(self) -> List[Finding]:
        if not self._files.unreadable:
            return []
        text = f"{len(self._files.unreadable)} files or folders could not be read"
        evidence = self._files.unreadable[:_UNREADABLE_SHOWN]
        return [Finding("files", Severity.HINT, text, evidence, "run it as root to have them read")]

    def _is_live(self) -> bool:
        """Whether the root is this system's: of others systemd and the journal know nothing."""
        return os.path.realpath(self._root) == "/"
