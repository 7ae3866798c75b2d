"""Reads facts about kernel, namespaces, programs and service; the pure checks judge them."""

import functools
import os
import sys
import time
from typing import List, Optional, Tuple

from ipvsd import __version__
from ipvsd.config import choices, comparison, estimation_files
from ipvsd.config import files as config_files
from ipvsd.config.parser import ConfigError
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.doctor import (
    check_environment,
    check_estimation_on,
    check_ipvs_usage,
    check_kernel,
    check_service,
    check_strategy,
    check_values,
    module_file,
    processes,
)
from ipvsd.doctor.diagnosis import Finding, Severity
from ipvsd.doctor.host import Host
from ipvsd.enforce import steer_check
from ipvsd.enforce.all_namespaces import NamespaceReader, in_worker
from ipvsd.kernel import estimation_kthreads, ipvs, libc, module, netns_births
from ipvsd.model import SERVICE, GuardError, Reason, Scope
from ipvsd.system import files, programs
from ipvsd.system.processes import available
from ipvsd.system.progress import Progress

_AUDIT_LOG = "var/log/audit/audit.log"
_RELEASE = "proc/sys/kernel/osrelease"
# How many of the kernel's messages since boot are read: enough for the latest denials.
_MESSAGES_MAX = 2000


def configuration(host: Host) -> List[Finding]:
    """Return the problems of the guard's own configuration, and store its policy in `host`."""
    try:
        config = config_files.load(host.places)
    except ConfigError as error:
        return check_values.check_configuration(error.problems, ())
    except GuardError as error:
        return check_values.check_configuration((str(error),), ())
    host.policy = config.policy
    return check_values.check_configuration((), config.warnings)


def estimation_on(host: Host) -> List[Finding]:
    """Return what keeps estimation on deliberately."""
    switched = estimation_files.files(host.places)
    dated = [
        check_estimation_on.Dated(one, files.changed_ns(one.path), one.path in switched)
        for one in choices.choices(host.policy)
    ]
    return check_estimation_on.check(
        dated, _comparison(host.places.runtime), int(time.time() * 1e9)
    )


def kernel(host: Host) -> List[Finding]:
    """Return whether the kernel has the setting, and which kind of estimator it has."""
    release = host.files.text(_RELEASE).strip() or os.uname().release
    kthreads = ipvs.has_kthreads(host.root)
    facts = check_kernel.Kernel(
        release,
        module.state(host.root),
        host.enforcer.read(RUN_ESTIMATION),
        kthreads,
        module_file.inspect(host.root, release),
        ipvs.dialect(host.root),
        estimation_kthreads.is_fixed(host.root) if kthreads else None,
    )
    host.supported = check_kernel.supported(facts)
    host.dialect = facts.dialect or facts.file.dialect
    return check_kernel.check(facts)


def values(host: Host) -> List[Finding]:
    """Return which values in the host's namespace are not as wanted."""
    if not module.state(host.root).loaded:
        return []  # without ip_vs there are no values; an image has no /proc either
    (result,) = host.enforcer.check_host(host.policy, Reason.APPLY, dry=True).results
    mode = host.daemon["mode"] if host.daemon is not None else None
    return check_values.check_values(result.keys, mode)


def use(host: Host) -> List[Finding]:
    """Return where IPVS is used."""
    loaded = module.state(host.root).loaded
    (_, own), *others = _services(host) if loaded else [("", None)]
    counts = [count for count in (own, *(count for _, count in others)) if count is not None]
    host.most_services = max(counts, default=None)
    is_root, host_only = os.geteuid() == 0, host.policy.scope is Scope.HOST
    excluding = bool(host.policy.exclusions)
    facts = check_ipvs_usage.Usage(
        loaded, own, others, is_root, host_only, excluding, host.programs()
    )
    return check_ipvs_usage.check_use(facts)


def readers(host: Host) -> List[Finding]:
    """Return which programs read statistics that stand still."""
    files = host.script_files() + host.files.matching(*check_ipvs_usage.KEEPALIVED_FILES)
    hidden = host.hides_processes()
    if hidden:
        host.unseen.append(check_ipvs_usage.READERS)
    found = check_ipvs_usage.check_readers(host.programs(), files, hidden)
    host.has_readers = any(one.evidence for one in found)
    return found


def strategy(host: Host) -> List[Finding]:
    """Return what is recommended here, after services and readers have been looked for."""
    facts = check_strategy.Facts(
        host.most_services,
        ipvs.possible_cpus(host.root),
        host.dialect,
        host.has_readers,
        host.policy.steer is not None,
    )
    verdict = steer_check.verdict(host.policy, host.root)
    notes = [
        Finding(check_strategy.TOPIC, Severity.HINT, text.partition(": ")[2])
        for text in verdict.notes
    ]
    if verdict.refused:
        text = verdict.refused.partition(": ")[2]
        notes.append(Finding(check_strategy.TOPIC, Severity.PROBLEM, text))
    return notes + check_strategy.check(facts)


def environment(host: Host) -> List[Finding]:
    """Return what the system does not permit the guard to do."""
    is_root = os.geteuid() == 0
    tracing = in_worker(functools.partial(_tracing_obstacle, host.root)) if is_root else None
    marks = [os.path.join(host.root, name) for name in check_environment.CONTAINER_MARKS]
    return check_environment.check(
        check_environment.Environment(
            os.geteuid(),
            tracing,
            host.files.text(check_environment.LOCKDOWN_FILE).strip(),
            host.files.text(check_environment.SELINUX_FILE),
            host.files.text(check_environment.APPARMOR_FILE),
            [mark for mark in marks if os.path.exists(mark)],
            _messages(host) if is_root else None,
            processes.status(host.root, host.daemon["pid"]) if host.daemon else {},
            available(),
            {
                name: host.files.text(f"proc/sys/{name.replace('.', '/')}")
                for name in check_environment.LIMITS
            },
        )
    )


def _tracing_obstacle(root: str, _progress: Progress) -> str:
    """Return why the service could not set a kprobe, in a process with its capabilities."""
    libc.keep_capabilities(sum(1 << number for number in check_environment.CAPABILITIES))
    obstacle = netns_births.obstacle(root)
    return f"{obstacle.filename}: {obstacle.strerror}" if obstacle is not None else ""


def service(host: Host) -> List[Finding]:
    """Return whether the service runs, is enabled, and works."""
    shown = None
    if host.is_live:
        shown = programs.unit_properties(check_service.NAME, check_service.PROPERTIES)
    properties = check_service.parse_show(shown) if shown is not None else None
    if host.running is None:
        host.unseen.append(check_service.TOPIC)
    unit = os.path.join(sys.prefix, "share", SERVICE, check_service.NAME)
    facts = check_service.Service(
        properties,
        host.daemon,
        host.running,
        __version__,
        unit if os.path.exists(unit) else "",
        sys.prefix,
    )
    return check_service.check(facts)


def _comparison(folder: Optional[str]) -> Optional[check_estimation_on.Comparison]:
    """Return the drop-in of a comparison, None without one."""
    path = os.path.join(folder or "", comparison.DROP_IN)
    if folder is None or not os.path.lexists(path):
        return None
    return check_estimation_on.Comparison(path, comparison.is_running(folder))


def _services(host: Host) -> List[Tuple[str, Optional[int]]]:
    """Return the namespaces, the host's first, with the number of services and real servers.

    Those that the configuration excludes are left out: what is in them matters to nobody here.
    """
    policy = host.policy._replace(scope=Scope.ALL)
    reader = NamespaceReader(policy, host.root, lambda: ipvs.facts(host.root, exactly=True))
    try:
        found = reader.read()
    finally:
        reader.close()
    return [(str(ns_state), facts and facts.estimators) for ns_state, facts in found]


def _messages(host: Host) -> Optional[List[str]]:
    """Return the messages of the kernel and of auditd; None if they cannot be read."""
    shown = programs.kernel_messages(_MESSAGES_MAX) if host.is_live else ""
    return None if shown is None else f"{shown}\n{host.files.tail(_AUDIT_LOG)}".split("\n")
