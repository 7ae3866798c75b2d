"""Several commands at once, as real processes on a fake root."""

import os
import re
import subprocess
import sys

from ipvsd.config.estimation_files import DROP_IN
from tests.process.daemon_process import HOME

NAMES = [f"web{number}" for number in range(6)]
ETC = "etc/ipvs-estoff-guard/conf.d/" + DROP_IN
RUNTIME = "run/ipvs-estoff-guard.conf.d/" + DROP_IN


def switch_all(root, *options):
    """Run the command for each name at the same time; return the names in the drop-in."""
    command = [sys.executable, "-m", "ipvsd", "--root", root.path, "estimation", "on", "--force"]
    running = [
        subprocess.Popen(
            [*command, *options, "--namespace", name], cwd=HOME, stdout=subprocess.DEVNULL
        )
        for name in NAMES
    ]
    assert [process.wait() for process in running] == [0] * len(NAMES)
    return sorted(re.findall(r"\[sysctl name:(\w+)\]", root.read(RUNTIME if options else ETC)))


def test_choices_made_at_the_same_time_are_all_kept(root):
    assert switch_all(root) == NAMES
    assert switch_all(root, "--runtime") == NAMES
    for name in (ETC, RUNTIME):
        folder = os.path.dirname(root.join(name))
        assert not [one for one in os.listdir(folder) if one.endswith(".new")]
