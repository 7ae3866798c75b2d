"""The file of `make doctor`: it runs on a host that has a bare Python, and nothing of the guard."""

import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from tests.fakeroot import FakeRoot
from tests.packaging.conftest import modules, run, version

_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
# The oldest Python that is supported, where it is installed, and this one.
PYTHONS = [sys.executable, *map(str, sorted(_PYENV.glob("versions/3.6.*/bin/python3"))[:1])]
# No library but the standard one: -S leaves out site-packages, -I the folder and the environment.
BARE = ("-I", "-S")
HOOK = "install ip_vs modprobe -i ip_vs; sysctl -p\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("zipapp") / "ipvsd.pyz"
    assert "python3 ipvsd.pyz doctor" in run("make", "--silent", "doctor", f"ZIPAPP={path}")
    assert os.listdir(path.parent) == ["ipvsd.pyz"]
    return path


def test_it_has_every_module_and_nothing_else(built):
    with zipfile.ZipFile(built) as archive:
        files = sorted(name for name in archive.namelist() if not name.endswith("/"))
    assert files == sorted([*modules(), "__main__.py"])


@pytest.mark.parametrize("python", PYTHONS)
def test_it_runs_on_a_bare_python(built, root, python):
    with pytest.raises(AssertionError, match="No module named 'pyudev'"):
        run(python, *BARE, "-c", "import pyudev")
    assert run(python, *BARE, built, "--version") == f"ipvsd {version()}\n"
    assert run(python, *BARE, built, "--root", root.path, "status").startswith("guard: ")
    document = json.loads(run(python, *BARE, built, "--root", root.path, "doctor", "--json"))
    assert document["failed"] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_its_findings_and_exit_codes_are_those_of_the_command(built, root: FakeRoot, python):
    root.write("etc/modprobe.d/lb.conf", HOOK)
    with pytest.raises(AssertionError, match=r"doctor: 1\n\s*problem  modprobe files"):
        run(python, *BARE, built, "--root", root.path, "doctor")
    run(python, *BARE, built, "--root", root.path, "doctor", "--fix")
    assert root.read("etc/modprobe.d/lb.conf.ipvsd-backup") == HOOK


def test_the_daemon_says_what_it_lacks(built, root):
    with pytest.raises(AssertionError, match="install the package python3-pyudev"):
        run(sys.executable, *BARE, built, "--root", root.path, "run")
