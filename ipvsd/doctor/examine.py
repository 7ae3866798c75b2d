"""Runs all checks of the doctor, and comments out hooks for `doctor --fix`."""

from functools import partial
from typing import Callable, List, NamedTuple, Sequence, Tuple

from ipvsd.config.files import Places
from ipvsd.doctor import (
    check_containers,
    check_environment,
    check_estimation_on,
    check_ipvs_usage,
    check_kernel,
    check_modprobe,
    check_scripts,
    check_service,
    check_strategy,
    check_sysctl_files,
    check_tuned,
    check_udev,
    check_values,
    examine_files,
    examine_system,
)
from ipvsd.doctor.diagnosis import Diagnosis, Finding, Line, Severity
from ipvsd.doctor.file_reader import Reader
from ipvsd.doctor.host import Host
from ipvsd.system import file_changes

_REPORT_IT = "this is a defect of ipvsd: please report it, with the output of `ipvsd doctor --json`"

# The configuration is first, since later checks compare with its policy.
_CHECKS: Sequence[Tuple[str, Callable[[Host], List[Finding]]]] = (
    (check_values.CONFIGURATION, examine_system.configuration),
    (check_estimation_on.TOPIC, examine_system.estimation_on),
    (check_kernel.TOPIC, examine_system.kernel),
    (check_values.VALUES, examine_system.values),
    (check_sysctl_files.TOPIC, examine_files.sysctl_files),
    (check_modprobe.TOPIC, examine_files.modprobe_files),
    (check_udev.TOPIC, examine_files.udev),
    (check_tuned.TOPIC, examine_files.tuned),
    (check_scripts.TOPIC, examine_files.scripts),
    (check_containers.TOPIC, examine_files.containers),
    (check_ipvs_usage.USE, examine_system.use),
    (check_ipvs_usage.READERS, examine_system.readers),
    (check_strategy.TOPIC, examine_system.strategy),
    (check_environment.SECURITY, examine_system.environment),
    (check_service.TOPIC, examine_system.service),
    ("files", examine_files.unreadable),
)


class Fixed(NamedTuple):
    """A file that was changed."""

    path: str
    copy: str  # path of the copy that was made before
    lines: Tuple[Line, ...]


def fix(root: str) -> List[Fixed]:
    """Comment out the hooks in files below /etc, in all or none; return what was changed.

    Raises GuardError.
    """
    files = Reader(root).folders(check_modprobe.FOLDERS, *check_modprobe.SUFFIXES)
    changeable = examine_files.changeable(root, files)
    lost = partial(examine_files.lost_sysctls, root)
    removed = check_modprobe.to_remove(files, changeable, lost)
    changes = [
        file_changes.Change(
            file.path, file.text, check_modprobe.comment_out(file, removed[file.path])
        )
        for file in files
        if file.path in removed
    ]
    copies = file_changes.replace(changes)
    return [
        Fixed(change.path, copy, tuple(one.place.line for one in removed[change.path]))
        for change, copy in zip(changes, copies)
    ]


def diagnose(root: str, places: Places) -> Diagnosis:
    """Run all checks and return their findings; a check that fails is a finding itself."""
    host = Host(root, places)
    findings: List[Finding] = []
    failed = []
    for topic, check in _CHECKS:
        try:
            findings += check(host)
        except Exception as error:
            text = f"could not be checked: {type(error).__name__}: {error}"
            findings.append(Finding(topic, Severity.WARNING, text, (), _REPORT_IT))
            failed.append(topic)
    return Diagnosis(tuple(findings), host.supported, tuple(failed + host.unseen))
