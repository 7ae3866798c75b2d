"""The Ansible role: what ansible-lint thinks of it, and what it writes."""

import os
import sys
from pathlib import Path

from tests.packaging.conftest import ROOT, run

FOLDER = ROOT / "deploy" / "ansible"
PROGRAMS = Path(sys.executable).parent


def test_ansible_lint_finds_nothing(tmp_path):
    environment = dict(os.environ, ANSIBLE_HOME=str(tmp_path), NO_COLOR="1")
    environment["PATH"] = f"{PROGRAMS}:{environment['PATH']}"
    lint = (PROGRAMS / "ansible-lint", "--offline", "--profile=production", "--strict")
    run(*lint, cwd=FOLDER, env=environment)
