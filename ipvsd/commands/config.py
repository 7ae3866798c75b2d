"""Shows the effective configuration, and the file and line that each value comes from."""

import argparse
from typing import Any, Dict, Optional

from ipvsd.commands.output import Output
from ipvsd.config import files as config_files
from ipvsd.config.parser import Config, ConfigError
from ipvsd.model import Exit

# Version of the JSON: raised when a field changes its meaning or is removed, not when one is added.
_VERSION = 1


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
    for warning in config.warnings:
        output.problem(f"warning: {warning}")
    if options.json:
        output.json(_document(config))
    else:
        _print(config, output)
    return Exit.USAGE if options.check and config.warnings else Exit.AS_WANTED


def _print(config: Config, output: Output) -> None:
    rows = [["SETTING", "VALUE", "FROM"]]
    rows += [[option.key, option.value or "none", option.origin] for option in config.options]
    rows += [[s.key, s.wanted, s.origin] for s in config.policy.settings]
    rows += [
        [f"{o.key} in {o.selector}", "not guarded" if o.wanted is None else o.wanted, o.origin]
        for o in config.policy.overrides
    ]
    output.table(rows)


def _document(config: Config) -> Dict[str, Any]:
    return {
        "version": _VERSION,
        "guard": _section(config, "guard"),
        "namespaces": _section(config, "namespaces"),
        "metrics": _section(config, "metrics"),
        "sysctl": {s.key: _origin(s.wanted, s.origin) for s in config.policy.settings},
        "overrides": [
            {"selector": str(o.selector), "key": o.key, **_origin(o.wanted, o.origin)}
            for o in config.policy.overrides
        ],
        "warnings": list(config.warnings),
    }


def _section(config: Config, name: str) -> Dict[str, Any]:
    options = [option for option in config.options if option.section == name]
    return {option.key: _origin(option.value, option.origin) for option in options}


def _origin(value: Optional[str], origin: str) -> Dict[str, Optional[str]]:
    return {"value": value, "origin": origin}
