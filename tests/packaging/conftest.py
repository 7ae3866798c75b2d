"""Fixtures and helpers of the packaging tests: the built packages, and commands to query them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "ipvs-estoff-guard"
# The home of a project that has one, see packaging/home.mk.
HOME = {
    "HOME_URL": "https://guard.example.org/home",
    "SECURITY_CONTACT": "security@guard.example.org",
    "MAINTAINER": "Jo Doe <jo@guard.example.org>",
}

# A home of the project that a release could have.
HOME = {
    "HOME_URL": "https://guard.example.org/home",
    "SECURITY_CONTACT": "security@guard.example.org",
    "MAINTAINER": "Jo Doe <jo@guard.example.org>",
}


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


def build_deb(built: Build, folder: Path, umask: str = "022") -> Path:
    """Build the Debian package of the tarball that `make rpm` made."""
    version_ = f"{version()}-1"
    package = folder / f"{NAME}_{version_}_all.deb"
    make = [ROOT / "packaging" / "make-deb.sh", built.tarball, version_, package]
    midnight = query(built.binary, "%{BUILDTIME}")[0]
    run("sh", "-c", f'umask {umask}; exec "$@"', "sh", *make, env={"SOURCE_DATE_EPOCH": midnight})
    return package


@pytest.fixture(scope="session")
def deb(built: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the Debian package of this tree."""
    return build_deb(built, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Make a folder with a temporary key; yield it and the key's id, and end its agent."""
    folder = tmp_path_factory.mktemp("keys")
    yield folder, run("packaging/throwaway-key.sh", folder).strip()
    run("gpgconf", "--homedir", folder, "--kill", "gpg-agent")


def query(package: Path, form: str) -> list[str]:
    """Return the lines of a query of a package file."""
    return run("rpm", "-qp", "--qf", form, package).splitlines()


def record(folder: Path, *names: str, noise: str = "echo noise; echo noise >&2") -> Path:
    """Make programs that write their calls to a file, which is returned, make noise, and fail."""
    log = folder / "log"
    log.touch()
    for name in names:
        tool = folder / name
        tool.write_text(f'#!/bin/sh\n{noise}\necho "{name} $*" >>{log}\nexit 1\n')
        tool.chmod(0o755)
    return log


def perform(shell: str, script: str, path: Path, *arguments: object) -> None:
    """Run a maintainer's script that finds only the programs in `path`: it is silent, and works."""
    done = subprocess.run(
        [shell, "-e", "-c", script, "scriptlet", *map(str, arguments)],
        env={"PATH": str(path)},
        executable=f"/bin/{shell}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert (done.returncode, done.stdout) == (0, b"")


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
