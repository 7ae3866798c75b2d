"""Starts ipvsd out of its private directory, for every Python from 3.6 on.

Python runs this file when it is given the directory, and puts the directory itself first on
sys.path, in isolated mode (-I) too. What the package carries for systems that lack it goes last:
a library of the system, which its distribution keeps up to date, always wins.
"""

import os
import sys
import warnings

CARRIED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor")


def start():
    """Find the libraries, then hand over to the command line; returns its exit code."""
    sys.path.append(CARRIED)
    # The last pyudev for Python 3.6 has an escape in a docstring that 3.12 complains about, on
    # every start, since no bytecode is written. Nothing an administrator could act on. Not only
    # for CARRIED: a filter by module imports `re`, which takes a third of a bare Python's start.
    warnings.simplefilter("ignore", SyntaxWarning)

    from ipvsd.cli import main  # noqa: PLC0415 - the path has to be right first

    return main()


if __name__ == "__main__":
    sys.exit(start())
