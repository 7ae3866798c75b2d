"""The wheel that pip builds: EL8's setuptools would make an empty one without an error."""

import sys
import zipfile

import pytest

from tests.packaging.conftest import ROOT, modules, run, version


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.iterdir()
    with zipfile.ZipFile(str(path)) as archive:
        yield archive


def text(wheel, name):
    return wheel.read(f"ipvs_estoff_guard-{version()}.dist-info/{name}").decode()


def test_the_wheel_has_every_module_and_nothing_else(wheel):
    assert sorted(n for n in wheel.namelist() if ".dist-info/" not in n) == modules()


def test_the_wheel_has_the_command(wheel):
    assert "[console_scripts]\nipvsd=ipvsd.cli:main" in text(wheel, "entry_points.txt")


def test_the_metadata_are_of_this_version_for_python_3_6_and_newer(wheel):
    lines = text(wheel, "METADATA").splitlines()
    assert "Name: ipvs-estoff-guard" in lines
    assert f"Version: {version()}" in lines
    assert "Requires-Python: >=3.6" in lines
    required = sorted(line for line in lines if line.startswith("Requires-Dist:"))
    assert [line.split()[1] for line in required] == ["psutil", "pyudev", "sdnotify"]
