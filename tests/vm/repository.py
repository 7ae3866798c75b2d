"""A signed yum repository of this package, for the machines to install from."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
BUILD = HOME / "build" / "vm"
# Where a machine finds its repository.
GUEST_FOLDER = "/srv/repo"
# The suffix of the second package's release: the same files, but newer, for an upgrade.
NEWER = ".1"


def build(*, with_newer: bool = False) -> Path:
    """Make the repository of the working tree, with a newer package of the same tree if wanted."""
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = BUILD / ("repo-with-newer" if with_newer else "repo")
    with (BUILD / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="key-") as keys:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = [f"REPO_DIR={folder}", f"BASEURL=file://{GUEST_FOLDER}"]
        if with_newer:
            newer = BUILD / "newer"
            # The unit tests have passed on the same files, with the present package.
            flags = "RPMBUILD_FLAGS=--without tests"
            _make("rpm", f"RPM_BUILD={newer}", f"RPM_DIST={NEWER}", flags)
            arguments.append(f"REPO_EXTRA={next(newer.glob('*.noarch.rpm'))}")
        script = HOME / "packaging" / "throwaway-key.sh"
        key = subprocess.run([script, keys], check=True, capture_output=True, text=True)
        try:
            _make("repo", *arguments, f"GPG_KEY={key.stdout.strip()}", home=keys)
        finally:
            subprocess.run(["gpgconf", "--homedir", keys, "--kill", "gpg-agent"], check=False)
    return folder


def _make(target: str, *arguments: str, home: str = "") -> None:
    """Run make as for a release."""
    environ = dict(os.environ, GNUPGHOME=home)
    command = ["make", "-C", str(HOME), target, f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"make {target} failed:\n{done.stdout}\n{done.stderr}")
