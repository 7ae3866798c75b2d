"""Runs `ipvsd` as on a kernel before 4.20: a probe names registers, and ip_vs has no types.

Newer kernels take registers too (Documentation/trace/kprobetrace.rst).
"""

import sys

FOLDER = "/usr/share/ipvs-estoff-guard"
sys.path[:0] = [FOLDER]
sys.path.append(f"{FOLDER}/vendor")

from ipvsd.cli import main  # noqa: E402 - the path has to be right first
from ipvsd.kernel import estimation_runs, tracefs  # noqa: E402

tracefs._ARGUMENTS = None
estimation_runs._arguments = lambda _root: None

sys.exit(main())
