"""Tells the image's rpm database, by one generated package, what dpkg has installed there.

Debian's rpm and dnf know nothing of Debian's packages, so the dependencies of our RPM would never
be met.  Nothing is claimed that is not there: a name is provided only when dpkg has the package.
"""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

# Names of Fedora's packages and of the Debian packages that hold the same.
PACKAGES = {
    "bash": "bash",
    "coreutils": "coreutils",
    "dbus": "dbus",
    "glibc": "libc6",
    "iproute": "iproute2",
    "ipvsadm": "ipvsadm",
    "kmod": "kmod",
    "procps-ng": "procps",
    "python3": "python3",
    "python3-libs": "libpython3-stdlib",
    "python3-psutil": "python3-psutil",
    "python3-pyudev": "python3-pyudev",
    "python3-systemd": "python3-systemd",
    "systemd": "systemd",
    "systemd-libs": "libsystemd0",
    "systemd-udev": "udev",
    "util-linux": "util-linux",
}

FILES = ("/bin/bash", "/bin/sh", "/usr/bin/bash", "/usr/bin/python3", "/usr/bin/sh")

SPEC = """\
Name: debian-provides
Version: {version}
Release: 1
Summary: What dpkg has installed in this image, for the dependencies of RPM packages
License: Public Domain
BuildArch: noarch
AutoReqProv: no
{provides}

%description
Generated when the image was built, from the answers of dpkg-query.

%files
"""


def main() -> None:
    """Build the package and install it."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "debian-provides.spec")
        spec.write_text(SPEC.format(version=version(), provides="\n".join(provides())))
        topdir = f"--define=_topdir {folder}"
        subprocess.run(["rpmbuild", "-bb", "--quiet", topdir, spec], check=True)
        (package,) = Path(folder).rglob("*.noarch.rpm")
        # By dnf, which then knows it as wanted and keeps it when the last user of it is removed.
        subprocess.run(["dnf", "--assumeyes", "--quiet", "install", package], check=True)


def version() -> str:
    """The Debian release's number; testing and unstable have none."""
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_ID":
            return value.strip('"')
    return "0"


def provides() -> list[str]:
    """The Provides lines for what is really installed."""
    installed = installed_versions()
    major, minor, _ = platform.python_version_tuple()
    capabilities = [f"python(abi) = {major}.{minor}"]
    for name, debian in PACKAGES.items():
        if debian in installed:
            capabilities.append(f"{name} = {upstream(installed[debian])}")
    capabilities += [path for path in FILES if os.path.exists(path)]
    return [f"Provides: {capability}" for capability in capabilities]


def installed_versions() -> dict[str, str]:
    """Debian's names and versions of all packages in the state "installed"."""
    form = "${db:Status-Status} ${Package} ${Version}\n"
    command = ["dpkg-query", "--show", f"--showformat={form}"]
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = (line.split() for line in shown.splitlines())
    return {row[1]: row[2] for row in rows if row[0] == "installed"}


def upstream(debian: str) -> str:
    """A Debian version without epoch and revision, neither of which means anything to an RPM."""
    without_epoch = debian.rpartition(":")[2]
    return (without_epoch.rpartition("-")[0] or without_epoch).replace("-", "_")


if __name__ == "__main__":
    main()
