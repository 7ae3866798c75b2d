"""Fixtures and helpers of the packaging tests: the built packages, and commands to query them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "ipvs-estoff-guard"


def run(*command: object, cwd: Path = ROOT, env: Optional[dict[str, str]] = None) -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    shown = " ".join(str(word) for word in command)
    assert done.returncode == 0, f"{shown}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def version() -> str:
    """Return the version, from the only place that defines it."""
    text = (ROOT / "ipvsd" / "__init__.py").read_text()
    return text.split('__version__ = "')[1].split('"')[0]


def modules() -> list[str]:
    """Return every module of the package, relative to the root."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "ipvsd").rglob("*.py"))


class Build(NamedTuple):
    """The files that one run of `make rpm` made."""

    folder: Path
    binary: Path
    source: Path
    tarball: Path


def build(tree: Path, folder: Path, sources: Path, umask: str = "022") -> Build:
    """Build both packages of a tree in `folder`; use the bundled releases in `sources`, if any.

    The build skips the unit tests: they run elsewhere and change no byte of the packages.
    """
    (folder / "sources").mkdir(parents=True)
    for name in ("*.tar.gz", "bundled.stamp"):
        for path in sources.glob(name):
            if not path.name.startswith(NAME):
                shutil.copy2(path, folder / "sources")
    variables = [
        f"RPM_BUILD={folder}",
        f"PYTHON={sys.executable}",
        "RPMBUILD_FLAGS=--without tests",
    ]
    make = ["make", "-f", "packaging/rpm.mk", "rpm", *variables]
    run("sh", "-c", f'umask {umask}; exec "$@"', "sh", *make, cwd=tree)
    stem = f"{NAME}-{version()}"
    return Build(
        folder,
        folder / f"{stem}-1.noarch.rpm",
        folder / f"{stem}-1.src.rpm",
        folder / "sources" / f"{stem}.tar.gz",
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build the packages of this tree."""
    return build(ROOT, tmp_path_factory.mktemp("rpm"), ROOT / "build" / "rpm" / "sources")


@pytest.fixture(scope="session")
def unpacked(built: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the binary package below a folder."""
    folder = tmp_path_factory.mktemp("unpacked")
    unpack = 'rpm2archive -n - < "$1" | tar -x -C "$2"'
    run("sh", "-c", unpack, "sh", built.binary, folder)
    return folder


def query(package: Path, form: str) -> list[str]:
    """Return the lines of a query of a package file."""
    return run("rpm", "-qp", "--qf", form, package).splitlines()


def pythons() -> list[Path]:
    """Return each Python from 3.6 on that is found on the path and among pyenv's."""
    found = {}
    for minor in range(6, 20):
        path = shutil.which(f"python3.{minor}")
        # A shim of pyenv may exist without its Python.
        if path and subprocess.call([path, "--version"], stderr=subprocess.DEVNULL) == 0:
            found[minor] = Path(path)
    for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")):
        found[int(path.parts[-3].split(".")[1])] = path
    return [path for minor, path in sorted(found.items()) if minor >= 6]
