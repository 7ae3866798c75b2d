"""`make vm SUITE=bookworm`: boots a machine with the package installed, and runs a shell in it.

The shell uses the channel of the tests' commands, so it is not a terminal:
each line is a command of its own, run by bash. The directory is kept from one to the next.
"""

import argparse
import readline  # noqa: F401 - gives input() its history
import shlex
import sys
import time
from concurrent.futures import TimeoutError as FutureTimeout

from tests.vm import images, repository
from tests.vm.command import CommandTimeout
from tests.vm.guarded import Guarded
from tests.vm.machine import Machine

HOURS_S = 24 * 3600
# Printed after the output, so that the next command begins in the same directory.
MARK = "ipvsd-shell-directory:"


class Shell:
    """Runs lines in the guest, one after another."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._directory = "/root"

    def run(self, line: str) -> int:
        """Run a line, print what it printed, and return its status; Ctrl-C kills it."""
        command = (
            f"cd {shlex.quote(self._directory)}; {line}\n"
            f'status=$?; echo; echo "{MARK}$PWD"; exit $status'
        )
        job = self._machine.start_background(command)
        try:
            result = job.wait(HOURS_S)
        except (KeyboardInterrupt, CommandTimeout, FutureTimeout):
            job.kill()
            print("killed")
            return 130
        output, mark, directory = result.stdout.rpartition(f"\n{MARK}")
        if mark:
            self._directory = directory.rstrip("\n")
        print(
            output if mark else result.stdout, end="" if not output or output[-1:] == "\n" else "\n"
        )
        print(result.stderr, end="", file=sys.stderr, flush=True)
        return result.status

    def converse(self) -> None:
        """Run each line that is typed, until the end of the input."""
        status = 0
        while True:
            try:
                line = input(f"{self._machine.image.suite}:{self._directory} [{status}]# ")
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                continue
            if line.strip() in ("exit", "logout"):
                return
            if line.strip():
                status = self.run(line)


def main() -> int:
    """Boot a machine, install the package of this tree, and run commands in it until `exit`."""
    parser = argparse.ArgumentParser(prog="shell", description=main.__doc__)
    parser.add_argument("suite", nargs="?", default="bookworm", choices=images.SUITES)
    parser.add_argument("--command", metavar="LINE", help="run this, not what is typed, and end")
    parser.add_argument("--bare", action="store_true", help="do not install the package")
    arguments = parser.parse_args()
    folder = None if arguments.bare else repository.build()
    print(f"booting {arguments.suite} ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    with Machine(images.build(arguments.suite)) as machine:
        if folder is not None:
            Guarded(machine).install(folder)
        shell = Shell(machine)
        print(f"up after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if arguments.command is not None:
            return shell.run(arguments.command)
        print("each line is run by bash; Ctrl-C kills a command, `exit` ends the machine")
        shell.converse()
    return 0


if __name__ == "__main__":
    sys.exit(main())
