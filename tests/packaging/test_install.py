"""`make install`: its files and their modes, and that the installed programs start."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, modules, pythons, run, version
from tests.packaging.installed_files import FILES, SHARE


def install(root: Path, *variables: str) -> None:
    """Install with a strict umask, which must not change the modes."""
    command = ["make", "-f", "packaging/install.mk", "install", f"DESTDIR={root}", *variables]
    run("sh", "-c", 'umask 077; exec "$@"', "sh", *command)


def modes(root: Path, of_folders: bool = False) -> dict:
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode)
        for path in root.rglob("*")
        if path.is_dir() == of_folders
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    install(root)
    return root


def test_files_and_modes_are_exactly_these(installed):
    assert modes(installed) == {**FILES, **{f"{SHARE}/{name}": 0o644 for name in modules()}}


def test_every_folder_can_be_read_by_everybody(installed):
    assert set(modes(installed, of_folders=True).values()) == {0o755}
    assert (installed / "etc/ipvs-estoff-guard/conf.d").is_dir()


def test_a_second_time_changes_nothing(installed, tmp_path):
    for _ in range(2):
        install(tmp_path)
    run("diff", "-r", installed, tmp_path)


def test_files_that_name_a_path_follow_it(tmp_path):
    install(tmp_path, "PREFIX=/opt/guard", "SBINDIR=/usr/bin")
    unit = tmp_path / "opt/guard/lib/systemd/system/ipvs-estoff-guard.service"
    assert "ExecStart=/usr/bin/ipvsd run" in unit.read_text()
    assert "/usr/sbin/ipvsd" not in unit.read_text()
    launcher = (tmp_path / "usr/bin/ipvsd").read_text()
    assert "-I -B /opt/guard/share/ipvs-estoff-guard " in launcher
    assert "/usr/share/ipvs-estoff-guard" not in launcher


def test_bundled_libraries_are_installed_in_the_private_directory(tmp_path):
    carried = tmp_path / "releases"
    for name in ("thing-1/src/thing/__init__.py", "thing-1/src/thing/deep/a.py", "one-2/one.py"):
        (carried / name).parent.mkdir(parents=True, exist_ok=True)
        (carried / name).write_text("")
    (carried / "thing-1/src/thing/data.txt").write_text("")
    root = tmp_path / "root"
    install(root, f"BUNDLED={carried}/thing-1/src/thing {carried}/one-2/one.py")
    vendor = root / SHARE / "vendor"
    assert sorted(modes(vendor)) == ["one.py", "thing/__init__.py", "thing/deep/a.py"]


PROBE = """
import sys, pathlib, json, carried
def main():
    print(__file__, json.__file__, carried.__file__, sys.argv[1:], sys.flags.isolated, sep="\\n")
    return 3
"""


@pytest.mark.parametrize("python", pythons(), ids=lambda path: path.resolve().name)
def test_the_directory_is_found_first_and_its_bundled_libraries_last(python, tmp_path):
    """Run the directory as the launcher does, with -I -B: no environment, no bytecode."""
    for name, text in {
        "__main__.py": (ROOT / "packaging" / "main.py").read_text(),
        "ipvsd/__init__.py": "",
        "ipvsd/cli.py": PROBE,
        "vendor/carried.py": "x = '\\ '",  # Python 3.12 complains about this
        "vendor/json.py": "raise SystemExit('the carried library won')",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = modes(tmp_path)
    done = subprocess.run(
        [str(python), "-I", "-B", str(tmp_path), "status", "--json"],
        env={"PYTHONPATH": str(tmp_path / "vendor"), "PYTHONWARNINGS": "default"},
        cwd=str(tmp_path / "vendor"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert (done.returncode, done.stderr) == (3, "")
    cli, json_, carried, arguments, isolated = done.stdout.splitlines()
    assert cli == str(tmp_path / "ipvsd/cli.py")
    assert not json_.startswith(str(tmp_path))
    assert carried == str(tmp_path / "vendor/carried.py")
    assert (arguments, isolated) == ("['status', '--json']", "1")
    assert modes(tmp_path) == before


@pytest.mark.parametrize("python", pythons(), ids=lambda path: path.resolve().name)
def test_the_package_starts_with_only_its_bundled_libraries(python, unpacked, tmp_path):
    """With -S, so that no library of this machine is used."""
    share = unpacked / SHARE
    before = modes(share)
    ipvsd = [python, "-I", "-B", "-S", share]
    assert run(*ipvsd, "--version").split() == ["ipvsd", version()]
    assert "run_estimation" in run(*ipvsd, "--root", unpacked, "config", "--check")
    code = (
        f"import sys; sys.path.append({str(share / 'vendor')!r}); import pyudev, sdnotify;"
        "pyudev.Monitor.from_netlink(pyudev.Context(), source='kernel').start();"
        "print(pyudev.__version__, pyudev.__file__, sdnotify.__file__)"
    )
    assert run(python, "-I", "-B", "-S", "-c", code).count(str(share / "vendor")) == 2
    assert modes(share) == before


class Launcher:
    """packaging/ipvsd.sh with the paths of its Pythons moved below a folder."""

    def __init__(self, shell: str, folder: Path) -> None:
        text = (ROOT / "packaging" / "ipvsd.sh").read_text()
        for path in ("/usr/libexec/platform-python", "/usr/bin/python3"):
            assert path in text
            text = text.replace(path, str(folder / os.path.basename(path)))
        self.command = [shell, "-c", text, "ipvsd"]
        self.folder = folder

    def python(self, name: str) -> None:
        path = self.folder / name
        path.write_text('#!/bin/sh\necho "$$ $0 $*"\nexit 7\n')
        path.chmod(0o755)

    def __call__(self, *arguments: str):
        process = subprocess.Popen(
            [*self.command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        out, err = process.communicate()
        return process.pid, process.returncode, out, err


@pytest.fixture(params=["dash", "bash"])
def launcher(request, tmp_path):
    return Launcher(request.param, tmp_path)


def test_the_launcher_becomes_python3(launcher):
    launcher.python("python3")
    pid, code, out, err = launcher("config", "--config-dir", "a b")
    expected = f"-I -B /{SHARE} config --config-dir a b"
    assert out == f"{pid} {launcher.folder}/python3 {expected}\n"
    assert (code, err) == (7, "")


def test_the_launcher_prefers_the_platform_s_python(launcher):
    launcher.python("python3")
    launcher.python("platform-python")
    assert f"{launcher.folder}/platform-python" in launcher()[2]


def test_the_launcher_reports_a_missing_python(launcher):
    _, code, out, err = launcher("status")
    assert (code, out) == (5, "")
    assert err.startswith("ipvsd: Python 3 not found")
    assert err.count("\n") == 1


def test_the_starter_runs_on_python_3_6():
    vermin = Path(sys.executable).with_name("vermin")
    run(vermin, "--target=3.6-", "--no-tips", "packaging/main.py")
