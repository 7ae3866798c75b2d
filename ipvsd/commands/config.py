"""Shows the effective configuration, and the file and line that each value comes from."""

import argparse
import os
import stat
from typing import Any, Dict, Optional, Tuple

from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.config import sysctl_values, until
from ipvsd.config.parser import Config, ConfigError
from ipvsd.config.steering import Verdict
from ipvsd.model import SERVICE, Exit
from ipvsd.status import host_share

# Version of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1
_REAL_ROOT = "/"  # what systemd says is about this root only


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--check", action="store_true", help="fail on warnings too")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print errors and warnings only")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Print the configuration in effect, and each problem on a line of its own on stderr."""
    try:
        config = config_files.load(options.places)
    except ConfigError as error:
        for problem in error.problems:
            output.problem(problem)
        return Exit.USAGE
    verdict = _steers(config, options.root)
    if verdict.refused:
        output.problem(verdict.refused)
        return Exit.UNSUPPORTED
    for note in verdict.notes:
        output.problem(f"note: {note}")
    if options.check:
        config = config._replace(warnings=config.warnings + _checked(config, options.root))
    for warning in config.warnings:
        output.problem(f"warning: {warning}")
    if options.json:
        output.json(_document(config))
    else:
        _print(config, output)
    return Exit.USAGE if options.check and config.warnings else Exit.AS_WANTED


def _steers(config: Config, root: str) -> Verdict:
    if config.policy.steer is None:
        return Verdict()
    from ipvsd.enforce import steer_check  # reads the kernel, which no other check here does

    return steer_check.verdict(config.policy, root)


def _checked(config: Config, root: str) -> Tuple[str, ...]:
    """Return what is wrong with the configuration on this host, a sentence each."""
    (metrics,) = [option for option in config.options if option.key == "textfile"]
    why = _textfile_problem(metrics.value, root) if metrics.value else ""
    found = [f"{metrics.origin}: textfile = {metrics.value}: {why}"] if why else []
    possible = _possible_cpus(root)
    values = [(one.origin, one.key, one.wanted) for one in config.policy.settings]
    values += [(one.origin, one.key, one.wanted or "") for one in config.policy.overrides]
    for origin, key, wanted in values:
        if sysctl_values.lacks_cpus(key, wanted, possible):
            missing = f"this host cannot have all of these CPUs (possible: {possible})"
            found.append(f"{origin}: {key} = {wanted}: {missing}")
    return tuple(found)


def _possible_cpus(root: str) -> str:
    """Return the list of the CPUs that this host can have, empty if it is unknown."""
    try:
        with open(os.path.join(root, "sys/devices/system/cpu/possible"), encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _textfile_problem(path: str, root: str) -> str:
    # Slow to import, and needed only here.
    from ipvsd.config import textfile
    from ipvsd.system import programs

    folder = os.path.realpath(os.path.dirname(path))
    try:
        status = os.stat(folder)
    except OSError as error:
        return f"the folder {folder} cannot be used: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder"
    shown = programs.unit_properties(f"{SERVICE}.service", textfile.PROPERTIES)
    unit = (
        None
        if shown is None or os.path.realpath(root) != _REAL_ROOT
        else textfile.parse_show(shown)
    )
    sealed = unit is not None and _is_read_only_for(unit.get("MainPID", ""), folder)
    found = textfile.Folder(folder, status.st_mode, status.st_uid, status.st_gid, sealed)
    return textfile.problem(found, unit)


def _is_read_only_for(pid: str, folder: str) -> bool:
    """Return whether a process sees a folder read-only that is not so here; False if unknown."""
    try:
        there, here = (os.statvfs(path).f_flag for path in (f"/proc/{pid}/root{folder}", folder))
    except OSError:  # no process has this PID, or it may not be looked into
        return False
    return bool(there & ~here & os.ST_RDONLY)


def _print(config: Config, output: Output) -> None:
    rows = [["SETTING", "VALUE", "FROM"]]
    rows += [[option.key, option.value or "none", option.origin] for option in config.options]
    rows += [
        [one.key, _value(one.wanted, one.until_ns), one.origin] for one in config.policy.settings
    ]
    rows += [
        [f"{one.key} in {one.selector}", _value(one.wanted, one.until_ns), one.origin]
        for one in config.policy.overrides
    ]
    output.table(rows)
    share = host_share.document(config.policy.share)
    if share is not None:
        output.line(host_share.sentence(config.policy.mode.value, share))


def _value(wanted: Optional[str], until_ns: Optional[int]) -> str:
    shown = "not guarded" if wanted is None else wanted
    return shown if until_ns is None else f"{shown} until {until.render(until_ns)}"


def _document(config: Config) -> Dict[str, Any]:
    return {
        "version": _VERSION,
        "guard": _section(config, "guard"),
        "mode": config.policy.mode.value,
        "enforce_share": host_share.document(config.policy.share),
        "steer": _section(config, "steer"),
        "namespaces": _section(config, "namespaces"),
        "metrics": _section(config, "metrics"),
        "sampling": _section(config, "sampling"),
        "sysctl": {s.key: _origin(s.wanted, s.origin, s.until_ns) for s in config.policy.settings},
        "overrides": [
            {"selector": str(o.selector), "key": o.key, **_origin(o.wanted, o.origin, o.until_ns)}
            for o in config.policy.overrides
        ],
        "warnings": list(config.warnings),
    }


def _section(config: Config, name: str) -> Dict[str, Any]:
    options = [option for option in config.options if option.section == name]
    return {option.key: _origin(option.value, option.origin, option.until_ns) for option in options}


def _origin(value: Optional[str], origin: str, until_ns: Optional[int]) -> Dict[str, Optional[str]]:
    end = None if until_ns is None else until.render(until_ns)
    return {"value": value, "origin": origin, "until": end}
