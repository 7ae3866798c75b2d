"""Writes all that support needs to know of this host into one file, without secrets."""

import argparse
import os
import sys
import time

from ipvsd.commands.output import Output
from ipvsd.measure import saved_file
from ipvsd.model import Exit, GuardError
from ipvsd.report import collect
from ipvsd.system import files
from ipvsd.text import printable

_STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="where to write it; - for the standard output (default: a new file here)",
    )


def main(options: argparse.Namespace, output: Output) -> Exit:
    """Write the report; whatever cannot be found out is said in it."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    path = options.file or f"ipvs-estoff-guard-report-{stamp}.txt"
    if path != _STDOUT:
        saved_file.check(path)
    before = ["--root", options.root]
    before += ["--config-dir", options.config_dir] if options.config_dir else []
    text = collect.report(options.root, before)
    if path == _STDOUT:
        sys.stdout.write(text)
        return Exit.AS_WANTED
    try:
        files.replace(path, text, mode=0o600)
    except OSError as error:
        code = Exit.NOT_PERMITTED if isinstance(error, PermissionError) else Exit.CANNOT_TELL
        raise GuardError(f"{printable(path)}: {error.strerror}", code) from error
    output.line(f"{printable(os.path.abspath(path))}: written; read it before you send it")
    if os.geteuid() != 0:
        output.problem("without root, parts of it are missing")
    return Exit.AS_WANTED
