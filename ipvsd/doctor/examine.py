"""The doctor's round: observe with the layers below, and have the pure checks judge it."""

import os
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ipvsd import __version__
from ipvsd.config import files as config_files
from ipvsd.config.parser import ConfigError, parse
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.doctor import (
    check_environment,
    check_ipvs_usage,
    check_kernel,
    check_modprobe,
    check_other_writers,
    check_service,
    check_sysctl_files,
    check_values,
    module_file,
    processes,
    repair,
)
from ipvsd.doctor.diagnosis import Diagnosis, Finding, Line, Severity
from ipvsd.doctor.file_reader import Reader
from ipvsd.doctor.file_syntax import File
from ipvsd.enforce.all_namespaces import NamespaceReader
from ipvsd.enforce.enforcer import Enforcer
from ipvsd.kernel import ipvs, module, netns_births
from ipvsd.model import GuardError, Reason, Scope
from ipvsd.status import runtime_dir
from ipvsd.system import programs

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
    for file in Reader(root).folders(check_modprobe.FOLDERS, ".conf"):
        if check_modprobe.hooks(file) and _is_fixable(root, file):
            copy = repair.replace(file.path, file.text, check_modprobe.comment_out(file))
            done.append(Fixed(file.path, copy, tuple(check_modprobe.fixed(file))))
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

    def __init__(self, root: str, places: config_files.Places) -> None:
        self._root = root
        self._places = places
        self._files = Reader(root)
        self._guard = Enforcer(root)
        self._policy = parse([]).policy  # until the configuration has been read
        self._daemon = runtime_dir.RuntimeFolder(root).daemon()
        self._supported: Optional[bool] = None
        self._seen_programs: Optional[List[check_ipvs_usage.Program]] = None
        self._seen_scripts: Optional[List[File]] = None

    def diagnose(self) -> Diagnosis:
        """Make all checks; one that is broken is told among the findings, and hides no other."""
        checks: Sequence[Tuple[str, Callable[[], List[Finding]]]] = (
            (check_values.CONFIGURATION, self._configuration),
            (check_kernel.TOPIC, self._kernel),
            (check_values.VALUES, self._values),
            (check_sysctl_files.TOPIC, self._sysctl_files),
            (check_modprobe.TOPIC, self._modprobe_files),
            (check_other_writers.UDEV, self._udev),
            (check_other_writers.TUNED, self._tuned),
            (check_other_writers.SCRIPTS, self._scripts),
            (check_other_writers.CONTAINERS, self._containers),
            (check_ipvs_usage.USE, self._use),
            (check_ipvs_usage.READERS, self._readers),
            (check_environment.SECURITY, self._environment),
            (check_service.TOPIC, self._service),
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

    def _programs(self) -> List[check_ipvs_usage.Program]:
        if self._seen_programs is None:
            self._seen_programs = processes.programs(self._root, self._guard.host.identity)
        return self._seen_programs

    def _script_files(self) -> List[File]:
        if self._seen_scripts is None:
            files = self._files.matching(*check_other_writers.SCRIPT_FILES)
            units = self._files.folders(check_other_writers.UNIT_FOLDERS, ".service")
            self._seen_scripts = files + units
        return self._seen_scripts

    def _wanted(self) -> Mapping[str, str]:
        return {setting.key: setting.wanted for setting in self._policy.settings}

    def _configuration(self) -> List[Finding]:
        try:
            config = config_files.load(self._places)
        except ConfigError as error:
            return check_values.check_configuration(error.problems, ())
        except GuardError as error:
            return check_values.check_configuration((str(error),), ())
        self._policy = config.policy
        return check_values.check_configuration((), config.warnings)

    def _kernel(self) -> List[Finding]:
        release = self._files.text(_RELEASE).strip() or os.uname().release
        seen = check_kernel.Kernel(
            release,
            module.state(self._root),
            self._guard.read(RUN_ESTIMATION),
            ipvs.has_kthreads(self._root),
            module_file.inspect(self._root, release),
        )
        self._supported = check_kernel.supported(seen)
        return check_kernel.check(seen)

    def _values(self) -> List[Finding]:
        if not module.state(self._root).loaded:
            return []  # there are none, nor is anything mounted below the root of an image
        host = self._guard.check_host(self._policy, Reason.APPLY, dry=True).seen[0]
        mode = self._daemon["mode"] if self._daemon is not None else None
        return check_values.check_values(host.keys, mode)

    def _sysctl_files(self) -> List[Finding]:
        last = self._files.file(check_sysctl_files.LAST_FILE)
        boot = self._files.folders(check_sysctl_files.FOLDERS, ".conf")
        # A link to sysctl.conf is sysctl.conf: whoever reads the finding wants that name.
        boot = [_same(file, last) for file in boot]
        return check_sysctl_files.check(
            check_sysctl_files.Sources(boot, boot + last), self._wanted()
        )

    def _modprobe_files(self) -> List[Finding]:
        files = self._files.folders(check_modprobe.FOLDERS, ".conf")
        fixable = [file.path for file in files if _is_fixable(self._root, file)]
        return check_modprobe.check(files, fixable)

    def _udev(self) -> List[Finding]:
        return check_other_writers.check_udev(
            self._files.folders(check_other_writers.UDEV_FOLDERS, ".rules")
        )

    def _tuned(self) -> List[Finding]:
        profiles: Dict[str, File] = {}
        for folder in check_other_writers.TUNED_FOLDERS:  # the last ranks first
            for file in self._files.matching(f"{folder}/*/tuned.conf"):
                profiles[file.path.split("/")[-2]] = file
        active = tuple(self._files.text("etc/tuned/active_profile").split())
        return check_other_writers.check_tuned(
            check_other_writers.Tuned(active, profiles), self._wanted()
        )

    def _scripts(self) -> List[Finding]:
        return check_other_writers.check_scripts(self._script_files())

    def _containers(self) -> List[Finding]:
        kubelet = check_other_writers.check_kubelet(
            self._files.matching(*check_other_writers.KUBELET_FILES)
        )
        bundles = self._files.matching(*check_other_writers.BUNDLE_FILES)
        return kubelet + check_other_writers.check_containers(bundles, self._wanted())

    def _use(self) -> List[Finding]:
        loaded = module.state(self._root).loaded
        (_, host), *others = self._services() if loaded else [("", None)]
        is_root, host_only = os.geteuid() == 0, self._policy.scope is Scope.HOST
        seen = check_ipvs_usage.Usage(loaded, host, others, is_root, host_only, self._programs())
        return check_ipvs_usage.check_use(seen)

    def _services(self) -> List[Tuple[str, Optional[int]]]:
        """The namespaces, the host's first, and how many services and real servers each has."""
        reader = NamespaceReader(self._policy._replace(scope=Scope.ALL, exclusions=()), self._root)
        try:
            found = reader.read(lambda: ipvs.facts(self._root, exactly=True))
        finally:
            reader.close()
        return [(str(ns_state), facts and facts.estimators) for ns_state, facts in found]

    def _readers(self) -> List[Finding]:
        files = self._script_files() + self._files.matching(*check_ipvs_usage.KEEPALIVED_FILES)
        return check_ipvs_usage.check_readers(self._programs(), files)

    def _environment(self) -> List[Finding]:
        is_root = os.geteuid() == 0
        obstacle = netns_births.obstacle(self._root) if is_root else None
        tracing = f"{obstacle.filename}: {obstacle.strerror}" if obstacle is not None else ""
        marks = [os.path.join(self._root, name) for name in check_environment.CONTAINER_MARKS]
        return check_environment.check(
            check_environment.Environment(
                os.geteuid(),
                tracing if is_root else None,
                self._files.text(check_environment.LOCKDOWN_FILE).strip(),
                self._files.text(check_environment.SELINUX_FILE),
                self._files.text(check_environment.APPARMOR_FILE),
                [mark for mark in marks if os.path.exists(mark)],
                self._messages() if is_root else None,
                processes.status(self._root, self._daemon["pid"]) if self._daemon else {},
            )
        )

    def _messages(self) -> Optional[List[str]]:
        """The messages of the kernel and of auditd; None if they cannot be read."""
        shown = programs.kernel_messages(_MESSAGES_MAX) if self._is_live() else ""
        return None if shown is None else f"{shown}\n{self._files.tail(_AUDIT_LOG)}".split("\n")

    def _service(self) -> List[Finding]:
        shown = None
        if self._is_live():
            shown = programs.unit_properties(check_service.NAME, check_service.PROPERTIES)
        properties = check_service.parse_show(shown) if shown is not None else None
        return check_service.check(check_service.Service(properties, self._daemon, __version__))

    def _unreadable(self) -> List[Finding]:
        if not self._files.unreadable:
            return []
        text = f"{len(self._files.unreadable)} files or folders could not be read"
        evidence = self._files.unreadable[:_UNREADABLE_SHOWN]
        return [Finding("files", Severity.HINT, text, evidence, "run it as root to have them read")]

    def _is_live(self) -> bool:
        """Whether the root is this system's: of others systemd and the journal know nothing."""
        return os.path.realpath(self._root) == "/"
