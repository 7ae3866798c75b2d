"""The command line: arguments, exit codes, dispatch.

Most of the time of a short command is that of imports. So each is made where it is needed: the
daemon starts without the code for measuring, and `--version` without a parser.
"""

import gc
import os
import sys

from ipvsd import __version__
from ipvsd.system import streams

# As `typing` has it, whose import takes a quarter of the time in which a bare Python starts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import List, Optional, Sequence

# Each verb is a module of ipvsd.commands.
VERBS = {
    "run": "run the daemon in the foreground",
    "apply": "set the guarded values once, now",
    "status": "show values, states and what the daemon has done",
    "verify": "prove that estimation is off, by values and by effects",
    "stats": "show live totals and rates, also while estimation is off",
    "history": "show what the guard has logged in the journal",
    "measure": "measure what estimation costs: its runs, and round trips",
    "doctor": "find conflicts, missing support and whatever else is in the way",
    "estimation": "switch estimation on or off, permanently or until the next boot",
    "config": "show or check the configuration",
    "report": "write all that support needs into one file",
}

# Where a container has the host's files: its image sets it, for all commands that run there.
ROOT_VARIABLE = "IPVSD_ROOT"

_EXIT_CODES = """\
exit codes:
  0  as wanted (also: ip_vs is not loaded)
  1  not as wanted
  2  usage or configuration error
  3  not supported by this kernel
  4  not permitted
  5  cannot tell: something else failed
"""
_MARGIN = 2  # as argparse has it
_VERSION = f"ipvsd {__version__}"


def parser(arguments: "Sequence[str]") -> "argparse.ArgumentParser":
    """Return the parser of a command line, with the verbs that stand in it, or else with all."""
    import argparse
    import functools
    import importlib

    from ipvsd.config.files import FOLDER

    width = _width()
    wrapped = functools.partial(argparse.HelpFormatter, width=width)
    top = argparse.ArgumentParser(
        prog="ipvsd",
        description="Keeps IPVS estimation (net.ipv4.vs.run_estimation) switched off.",
        epilog=_EXIT_CODES,
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=width),
    )
    top.add_argument("--version", action="version", version=_VERSION)
    top.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    top.add_argument(
        "--config-dir",
        metavar="DIR",
        help=f"read guard.conf and conf.d/*.conf from here (default: /{FOLDER})",
    )
    top.add_argument(
        "--root",
        metavar="DIR",
        default=os.environ.get(ROOT_VARIABLE, "/"),
        help=f"use /etc, /proc, /sys and /run below DIR (default: ${ROOT_VARIABLE}, or /)",
    )
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND")
    verbs.required = True
    named = [name for name in VERBS if name in arguments]
    for name in named or VERBS:
        if not named:
            verbs.add_parser(name, help=VERBS[name], formatter_class=wrapped)
            continue
        module = importlib.import_module(f"ipvsd.commands.{name}")
        verb = verbs.add_parser(
            name, help=VERBS[name], description=module.__doc__, formatter_class=wrapped
        )
        verb.set_defaults(command=module.main)
        module.add_arguments(verb)
    return top


def _width() -> int:
    """Return the width of help texts: argparse would import shutil to find it."""
    from ipvsd.system import terminal

    return (terminal.size(sys.stdout) or terminal.USUAL).columns - _MARGIN


def main(arguments: "Optional[List[str]]" = None) -> int:
    """Run one command and return its exit code; argparse exits with 2 on wrong usage.

    Without `arguments`, those of this process are meant, and its standard streams are protected.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments is None:
            streams.protect()
        code = _run(words)
    except SystemExit as ended:
        # argparse has printed the help or a usage error, or a signal has ended a measurement.
        raise SystemExit(_after_output(int(ended.code or 0))) from None
    return _after_output(code)


def _run(words: "List[str]") -> int:
    if words == ["--version"]:
        print(_VERSION)
        return 0
    gc.disable()  # imports leave no garbage; looking for it takes a tenth of a command's time
    options = parser(words).parse_args(words)
    gc.enable()

    from ipvsd.commands.output import Output
    from ipvsd.config import files as config_files
    from ipvsd.model import Exit, GuardError
    from ipvsd.system import terminal

    try:
        options.places = config_files.places(options.root, options.config_dir)
        output = Output(getattr(options, "quiet", False), terminal=terminal.size(sys.stdout))
        return int(options.command(options, output))
    except GuardError as error:
        return _failed(str(error), error.code, options.debug)
    except KeyboardInterrupt:
        import signal

        return 128 + signal.SIGINT
    except Exception as error:
        message = f"unexpected {type(error).__name__}: {error}; --debug shows where"
        return _failed(message, Exit.CANNOT_TELL, options.debug)


def _after_output(code: int) -> int:
    """Return the exit code of a command when its output has been written, as far as it can be.

    A reader that has closed the pipe, `head` or a pager, has enough: this is no failure.
    """
    error = streams.failure(sys.stdout)
    if error is None or isinstance(error, BrokenPipeError):
        return code

    from ipvsd.model import Exit

    return _failed(f"stdout: {error.strerror}", code or Exit.CANNOT_TELL, debug=False)


def _failed(message: str, code: int, debug: bool) -> int:
    from ipvsd.commands.output import plain

    if debug:
        import traceback

        traceback.print_exc()
    print(f"ipvsd: {plain(message, sys.stderr)}", file=sys.stderr)
    return int(code)
