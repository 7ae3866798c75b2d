"""Judges whether this kernel has the setting, and how it estimates (pure)."""

import re
from typing import List, NamedTuple, Optional, Tuple

from ipvsd.doctor.diagnosis import Finding, Line, Severity
from ipvsd.kernel.dialects import RUN_ESTIMATION, TREE, Dialect
from ipvsd.model import Found, Module, Reading

TOPIC = "kernel"
_ESTIMATOR = "estimator"

# The first releases with the setting, as documented by their vendors; Linux since 2232642ec3fb.
_DOCUMENTED = ((".al7", (4, 19, 91, 22)), (".al8", (5, 10, 134, 14)))
_MAINLINE = (5, 16)
_MINIMUM = "Linux 5.16, Alibaba Cloud Linux 2 4.19.91-22, Alibaba Cloud Linux 3 5.10.134-14"
_RELEASE = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:-(\d{1,9}))?", re.ASCII)


class ModuleFile(NamedTuple):
    """Facts about the module's file on disk, which may not be loaded yet."""

    path: str = ""  # empty where there is no file
    built_in: bool = False  # according to modules.builtin
    has_setting: Optional[bool] = None  # None: unknown
    has_kthreads: Optional[bool] = None
    has_calc_fix: Optional[bool] = None  # 558f67f1340f
    error: str = ""  # why has_setting is unknown
    dialect: Optional[Dialect] = None  # None: unknown, or nothing switches estimation
    works: bool = False  # estimation runs in a work item


class Kernel(NamedTuple):
    """Facts about the running kernel."""

    release: str
    module: Module
    reading: Reading  # of run_estimation
    kthreads: bool  # of the loaded module
    file: ModuleFile
    dialect: Optional[Dialect] = None  # of the loaded module
    has_stop_fix: Optional[bool] = None  # 2fd109238925 in the loaded module; None: unknown


def supported(kernel: Kernel) -> Optional[bool]:
    """Return whether the kernel has the setting; None if neither kernel nor module file show it."""
    if kernel.module.loaded and kernel.reading.found is Found.NO_KEY:
        return False
    if kernel.module.loaded and kernel.reading.found is not Found.NO_TREE:
        return True
    return kernel.file.dialect is not None or kernel.file.has_setting


def check(kernel: Kernel) -> List[Finding]:
    """Return whether the setting exists, and which kind of estimator the kernel has."""
    found = _setting(kernel)
    if supported(kernel):
        found += _estimator(kernel)
    return found


def _setting(kernel: Kernel) -> List[Finding]:
    if kernel.module.loaded and kernel.reading.found is Found.NO_TREE:
        text = "ip_vs is loaded, but has no settings here: this is not the host's namespace"
        advice = "run ipvsd on the host, not in a container"
        return [Finding(TOPIC, Severity.WARNING, text, (), advice)]
    if kernel.module.loaded:
        return [_loaded(kernel)]
    return [_on_disk(kernel)]


def _loaded(kernel: Kernel) -> Finding:
    if kernel.reading.found is Found.NO_KEY:
        text = f"the loaded ip_vs of kernel {kernel.release} has no run_estimation"
        advice = f"a newer kernel is needed: {_MINIMUM}"
        evidence: Tuple[Line, ...] = ()
        if kernel.file.has_setting:
            evidence = (Line(kernel.file.path, 0, "has run_estimation"),)
            advice = "the module file is newer than the loaded module: reboot"
        return Finding(TOPIC, Severity.PROBLEM, text, evidence, advice)
    text = f"{kernel.release}: the loaded ip_vs has {_switch(kernel.dialect)}"
    return Finding(TOPIC, Severity.OK, text)


def _switch(dialect: Optional[Dialect]) -> str:
    """Return which key switches estimation, and which ones steer it where a vendor has added some.

    Those of the kernel threads are named with the estimator.
    """
    if dialect is not None and dialect.switch != RUN_ESTIMATION:
        name = dialect.switch[len(TREE) :]
        return f"{name}, as {dialect.name} calls run_estimation; it is {dialect.default} by default"
    steers = [] if dialect is None or dialect.kthreads else dialect.steers
    return "run_estimation" + "".join(f" and {key[len(TREE) :]}" for key in steers)


def _on_disk(kernel: Kernel) -> Finding:
    file = kernel.file
    where = (Line(file.path),) if file.path else ()
    if not file.path and not file.error:
        text = f"kernel {kernel.release} has no ip_vs: there is nothing to guard"
        advice = "to use IPVS, install the package with the kernel's network modules"
        return Finding(TOPIC, Severity.HINT, text, (), advice)
    if file.has_setting is None:
        text = f"whether ip_vs has run_estimation is unknown: {file.error}"
        hint = documented(kernel.release)
        likely = "unknown" if hint is None else ("likely" if hint else "unlikely")
        advice = f"by the kernel's version: {likely} ({_MINIMUM} and newer have it)"
        return Finding(TOPIC, Severity.HINT, text, where, advice)
    if not supported(kernel):
        text = f"ip_vs of kernel {kernel.release}, not loaded yet, has no run_estimation"
        advice = f"a newer kernel is needed: {_MINIMUM}"
        return Finding(TOPIC, Severity.PROBLEM, text, where, advice)
    text = f"{kernel.release}: ip_vs, not loaded yet, has {_switch(file.dialect)}"
    return Finding(TOPIC, Severity.OK, text, where)


def documented(release: str) -> Optional[bool]:
    """Return whether a release should have the setting by its number; None if undocumented."""
    match = _RELEASE.match(release)
    if match is None:
        return None
    number = tuple(int(part or 0) for part in match.groups())
    for mark, first in _DOCUMENTED:
        if mark in release:
            return number >= first
    return True if number[:2] >= _MAINLINE else None


def _estimator(kernel: Kernel) -> List[Finding]:
    kthreads = kernel.kthreads if kernel.module.loaded else kernel.file.has_kthreads
    if kthreads is None:
        return []
    if kthreads:
        text = (
            "estimation runs in kernel threads (ipvs-e:*) from the first service on; "
            "the guard waits while services are being added or removed"
        )
    else:
        where = "a work item" if kernel.file.works else "a timer"
        text = (
            f"estimation runs in {where}, every 2 s, over all services at once: "
            "this stalls a CPU, and the guard prevents it"
        )
    fixes = [_stop_fix(kernel), _calc_fix(kernel.file)] if kthreads else []
    return [Finding(_ESTIMATOR, Severity.OK, text), *fixes]


def _stop_fix(kernel: Kernel) -> Finding:
    """Return whether the deadlock of threads that are stopped is known to be fixed."""
    what = "the fix 2fd109238925, without which stopping these threads can hang IPVS"
    if kernel.has_stop_fix:
        text = f"the loaded ip_vs has {what}: its types have the member that came with it"
        return Finding(_ESTIMATOR, Severity.OK, text)
    rest = "the guard writes nothing that stops them while services are added or removed"
    advice = (
        "let no other program change run_estimation, est_cpulist or est_nice while services are "
        "added or removed"
    )
    if kernel.has_stop_fix is False:
        text = f"the loaded ip_vs lacks {what} until the next boot: its types show this; {rest}"
    else:
        why = "its types (BTF) are not shown" if kernel.module.loaded else "it is not loaded yet"
        text = f"whether ip_vs has {what} cannot be told: {why}; {rest}"
    return Finding(_ESTIMATOR, Severity.HINT, text, (), advice)


def _calc_fix(file: ModuleFile) -> Finding:
    """Return whether the module file has the fix of threads in a namespace that ends."""
    what = (
        "the fix 558f67f1340f, without which a namespace that ends soon after its first service "
        "can damage the kernel's memory"
    )
    if file.has_calc_fix:
        text = f"the module file has {what}: it uses kthread_stop_put"
        return Finding(_ESTIMATOR, Severity.OK, text, (Line(file.path),))
    where = (Line(file.path),) if file.path else ()
    text = (
        f"whether ip_vs has {what} while estimation is on cannot be told: the module file does not "
        "show it"
    )
    advice = "the vendor's list of changes of the kernel names CVE-2026-74670 if it has it"
    return Finding(_ESTIMATOR, Severity.HINT, text, where, advice)
