"""Checks this host for what prevents the guard from working, before and after installing it."""

import argparse
import os
from typing import List

from ipvsd.commands.output import Output
from ipvsd.doctor import diagnosis
from ipvsd.doctor.diagnosis import Severity
from ipvsd.doctor.examine import Fixed, diagnose, fix
from ipvsd.model import Exit, GuardError
from ipvsd.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--fix",
        action="store_true",
        help="comment out old install hooks of ip_vs in /etc/modprobe.d",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="print only what is not in order")


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Repair what --fix is for, then run all checks."""
    fixed: List[Fixed] = []
    if options.fix:
        if os.geteuid() != 0:
            message = "doctor --fix: changes files that belong to root; run it as root"
            raise GuardError(message, Exit.NOT_PERMITTED)
        fixed = fix(options.root)
    found = diagnose(options.root, options.places)
    if options.json:
        document = diagnosis.document(found)
        document["fixed"] = [
            {"path": one.path, "copy": one.copy, "lines": [line.number for line in one.lines]}
            for one in fixed
        ]
        output.json(document)
    else:
        if options.fix:
            _print_fixed(fixed, output)
        _print(found, output)
    return diagnosis.exit_code(found)


def _print_fixed(fixed: List[Fixed], output: Output) -> None:
    for one in fixed:
        numbers = ", ".join(str(line.number) for line in one.lines)
        output.always(f"fixed    {printable(one.path)}: hook in line {numbers} commented out")
        output.always(f"         copy of the old file: {printable(one.copy)}")
    if not fixed:
        output.line("nothing to fix")


def _print(found: diagnosis.Diagnosis, output: Output) -> None:
    for finding in diagnosis.in_order(found.findings):
        show = output.line if finding.severity is Severity.OK else output.always
        for line in diagnosis.lines(finding):
            show(line)
    output.line()
    output.line(diagnosis.summary(found.findings))
