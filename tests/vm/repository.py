"""Signed repositories of this package, for the machines to install from: yum's and apt's."""

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
BUILD = HOME / "build" / "vm"
# Where a machine finds its repository.
GUEST_FOLDER = "/srv/repo"
GUEST_APT_FOLDER = "/srv/apt"
# The suffix of the second package's release: the same files, but newer, for an upgrade.
NEWER = ".1"


def build(*, with_newer: bool = False) -> Path:
    """Make the repository of the working tree, with a newer package of the same tree if wanted."""
    folder = BUILD / ("repo-with-newer" if with_newer else "repo")
    with _alone(), _key() as (keys, key):
        arguments = [f"REPO_DIR={folder}", f"BASEURL=file://{GUEST_FOLDER}"]
        if with_newer:
            newer = BUILD / "newer"
            # The unit tests have passed on the same files, with the present package.
            flags = "RPMBUILD_FLAGS=--without tests"
            _make("rpm", f"RPM_BUILD={newer}", f"RPM_DIST={NEWER}", flags)
            arguments.append(f"REPO_EXTRA={next(newer.glob('*.noarch.rpm'))}")
        _make("repo", *arguments, f"GPG_KEY={key}", home=keys)
    return folder


def build_apt() -> Path:
    """Make the apt repository of the working tree, with a newer package of the same tree."""
    folder = BUILD / "apt-repo"
    with _alone(), _key() as (keys, key):
        newer = BUILD / "newer-deb"
        _make("deb", f"DEB_BUILD={newer}", f"DEB_DIST={NEWER}")
        arguments = [f"APT_REPO_DIR={folder}", f"APT_BASEURL=file:{GUEST_APT_FOLDER}"]
        arguments.append(f"APT_REPO_EXTRA={next(newer.glob(f'*{NEWER}_all.deb'))}")
        _make("apt-repo", *arguments, f"GPG_KEY={key}", home=keys)
    return folder


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep the other workers of the tests from building meanwhile."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _key() -> Iterator[tuple[str, str]]:
    """Make a key for one repository; yield the folder that it is in, and its id."""
    with tempfile.TemporaryDirectory(prefix="key-") as keys:
        script = HOME / "packaging" / "throwaway-key.sh"
        key = subprocess.run([script, keys], check=True, capture_output=True, text=True)
        try:
            yield keys, key.stdout.strip()
        finally:
            subprocess.run(["gpgconf", "--homedir", keys, "--kill", "gpg-agent"], check=False)


def _make(target: str, *arguments: str, home: str = "") -> None:
    """Run make as for a release."""
    environ = dict(os.environ, GNUPGHOME=home)
    command = ["make", "-C", str(HOME), target, f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"make {target} failed:\n{done.stdout}\n{done.stderr}")
