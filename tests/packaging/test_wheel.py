"""The wheel that pip builds: EL8's setuptools would make an empty one without an error."""

import re
import shlex
import subprocess
import sys
import zipfile

import pytest

from tests.packaging.conftest import NAME, ROOT, modules, run, version

DATA = {
    f"share/{NAME}/{NAME}.service": f"systemd/{NAME}.service",
    f"share/{NAME}/guard.conf": "conf/guard.conf",
    f"share/man/man5/{NAME}.conf.5": f"man/{NAME}.conf.5",
    f"share/man/man8/{NAME}.8": f"man/{NAME}.8",
    "share/man/man8/ipvsd.8": "man/ipvsd.8",
}


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(wheel_file):
    with zipfile.ZipFile(str(wheel_file)) as archive:
        yield archive


def text(wheel, name):
    return wheel.read(f"ipvs_estoff_guard-{version()}.dist-info/{name}").decode()


def test_the_wheel_has_every_module_and_nothing_else(wheel):
    stem = f"ipvs_estoff_guard-{version()}"
    names = [name for name in wheel.namelist() if not name.startswith(f"{stem}.dist-info/")]
    data = {name.partition(f"{stem}.data/data/")[2] for name in names if ".data/" in name}
    assert sorted(name for name in names if ".data/" not in name) == modules()
    assert data == set(DATA)
    for name, source in DATA.items():
        assert wheel.read(f"{stem}.data/data/{name}") == (ROOT / source).read_bytes()


def test_the_wheel_has_the_command(wheel):
    assert "[console_scripts]\nipvsd=ipvsd.cli:main" in text(wheel, "entry_points.txt")


def test_the_metadata_are_of_this_version_for_python_3_6_and_newer(wheel):
    lines = text(wheel, "METADATA").splitlines()
    assert "Name: ipvs-estoff-guard" in lines
    assert f"Version: {version()}" in lines
    assert "Requires-Python: >=3.6" in lines
    required = sorted(line for line in lines if line.startswith("Requires-Dist:"))
    assert [line.split()[1] for line in required] == ["psutil", "pyudev", "sdnotify"]


def test_the_readme_s_commands_install_it_and_make_a_unit_that_starts_it(wheel_file, tmp_path):
    """With pip, into an environment; its libraries would come from the package index."""
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```console\n(# python3 -m venv .*?)```", text, re.S)
    home, units = tmp_path / "ipvsd", tmp_path / "units"
    units.mkdir()
    places = {"/opt/ipvsd": home, "/etc/systemd/system": units}
    for place, instead in places.items():
        block = block.replace(place, str(instead))
    block = re.sub(r"\S+\.whl", f"--no-deps {shlex.quote(str(wheel_file))}", block)
    commands = re.findall(r"^# ((?:.*\\\n)*.*)$", block, re.M)
    done = [run("sh", "-e", "-c", one) for one in commands if not one.startswith("systemctl")]
    assert len(done) == 3
    assert run(home / "bin" / "ipvsd", "--version") == f"ipvsd {version()}\n"
    unit = (units / f"{NAME}.service").read_text()
    assert f"ExecStart={home}/bin/ipvsd run\n" in unit and "/usr/sbin/ipvsd" not in unit
    command = ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify"]
    verified = subprocess.run(
        [*command, units / f"{NAME}.service"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert [line for line in verified.stdout.splitlines() if NAME in line] == []
