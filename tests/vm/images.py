"""Bootable Debian images for the VM tests, built once and cached by their contents."""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Raise it when a change outside the hashed inputs alters the contents of an image.
FORMAT = 1

# Kernels 5.10 without the sysctl, 6.1 with the timer estimator, 6.12 and newest with kthreads; and
# the first with an ip_vs that has the sysctl, as the kernels of vendors do.
VENDOR = "vendor"
SUITES = ("bullseye", VENDOR, "bookworm", "trixie", "sid")
EVERYDAY = SUITES[:-1]  # sid, which changes each day, is for the thorough tests
# bookworm for another processor, always emulated. Its packages are unpacked and not configured, so
# that none of its programs has to run here. It has no systemd, and the initramfs is its whole root.
AARCH64 = "aarch64"
# Those of Debian's releases that are not called as the suite.
RELEASES = {VENDOR: "bullseye", AARCH64: "bookworm"}

PACKAGES = (
    "linux-image-amd64", "systemd-sysv", "udev", "dbus", "kmod",
    "python3", "python3-pyudev", "python3-psutil", "python3-systemd",
    "dnf", "rpm", "gnupg",
    "iproute2", "iputils-ping", "ipvsadm", "procps", "util-linux", "strace",
    "libseccomp2",  # the newest systemd only recommends it, and without it filters no system call
    "passwd",  # useradd, for a user who is not root
    "busybox-static", "zstd",  # the initramfs
)  # fmt: skip

# With their dependencies, but without the packages that Debian calls essential.
AARCH64_PACKAGES = (
    "linux-image-arm64", "busybox-static", "kmod",
    "python3", "python3-pyudev", "python3-psutil",
    "bash", "coreutils", "cpio", "grep", "ipvsadm", "tar", "util-linux",
)  # fmt: skip

# Containers, for root and for others: the packages that the suite's podman uses for a network, and
# those that it only recommends. On bullseye's kernel there is no estimation to switch off.
_PODMAN = ("podman", "crun", "netavark", "uidmap")
CONTAINER_PACKAGES = {
    "bookworm": (*_PODMAN, "iptables", "slirp4netns"),
    "trixie": (*_PODMAN, "nftables", "passt"),
    "sid": (*_PODMAN, "nftables", "passt"),
}

# The real clients of IPVS, and a reader of its statistics, for tests that ask for them.
CLIENT_PACKAGES = ("docker.io", "keepalived", "lxc", "prometheus-node-exporter", "curl")
# What the overlay networks of Docker Swarm need besides.
CLIENT_MODULES = tuple(f"{usr}/lib/modules/*/kernel/drivers/net/vxlan*" for usr in ("", "/usr"))

# apt, for tests of our own package for Debian, and what that one depends on.
APT_PACKAGES = ("apt", "python3-sdnotify")

# SELinux is used only by a test that asks for it: the kernel's argument decides.
SELINUX_SUITE = "trixie"
SELINUX_PACKAGES = ("selinux-policy-default", "policycoreutils", "selinux-utils")

_HEADERS = ("linux-headers-amd64", "make")  # the headers bring the kernel's own compiler
# Kernel modules of our own, by suite: the sources follow their kernel's API. For each the packages
# that compile it and the script, whose name is the folder of the sources too.
MODULES = {
    "bookworm": (_HEADERS, "modules"),
    VENDOR: ((*_HEADERS, "linux-source-5.10", "xz-utils"), "vendor"),
}

# Programs of Kubernetes, which tests/vm/kubernetes.py builds: their script is here.
KUBERNETES = "kube"

# Files that these machines never read. Without them an image is half as large and built faster.
UNWANTED = (
    "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*",
    "/usr/share/zoneinfo/*",
    *(f"{usr}/lib/modules/*/kernel/{part}/*"
      for usr in ("", "/usr") for part in ("arch", "drivers", "fs", "sound")),
)  # fmt: skip

WANTED = tuple(
    f"{usr}/lib/modules/*/kernel/{part}*"
    for usr in ("", "/usr")
    for part in (
        "drivers/block/virtio", "drivers/char/virtio", "drivers/virtio/",
        "drivers/net/dummy", "drivers/net/net_failover", "drivers/net/tun", "drivers/net/veth",
        "drivers/net/virtio",
        "fs/ext4/", "fs/jbd2/", "fs/mbcache", "fs/overlayfs/",
    )
)  # fmt: skip

# Unstable's Release file is valid for a week only, so with a mirror that lags, or a clock that is
# ahead, apt refuses it. Signatures are still checked, and stale packages do no harm here.
APT_OPTIONS = {"sid": ("--aptopt=Acquire::Check-Valid-Until false",)}

HERE = Path(__file__).parent
IMAGE_INPUTS = HERE / "image"


class BuildError(Exception):
    """An image could not be built; the message holds the end of the builder's output."""


@dataclass(frozen=True)
class Image:
    """The files of one bootable image, all inside one cache folder."""

    suite: str
    folder: Path

    @property
    def is_native(self) -> bool:
        """Return whether it is for the processor of this host: a whole system, on a disk."""
        return self.suite != AARCH64

    @property
    def kernel(self) -> Path:
        """The kernel for QEMU's -kernel."""
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        """The initramfs that mounts the disk, or answers the accelerator probe; or the root."""
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        """The root file system, a raw ext4 image; a native image has one."""
        return self.folder / "disk"

    @property
    def modules(self) -> Path:
        """Our own test kernel modules, if any; the guest has them in /opt/test-modules."""
        return self.folder / "modules"


def build(suite: str, *more: str) -> Image:
    """Return the image of a suite, building it if the cache has none with the same contents.

    An image with `more` packages is another image, kept beside the one without them.
    """
    if suite not in (*SUITES, AARCH64):
        raise ValueError(f"{suite}: not one of {', '.join((*SUITES, AARCH64))}")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    name = "+".join((suite, *more))
    own = AARCH64_PACKAGES if suite == AARCH64 else PACKAGES
    packages = own + CONTAINER_PACKAGES.get(suite, ()) + more
    if suite == SELINUX_SUITE:
        packages += SELINUX_PACKAGES
    image = Image(suite, cache / f"{name}-{_key(suite, packages)}")
    with locked(cache / f"{name}.lock"):
        if not image.folder.is_dir():
            _build_into(image, packages)
            _remove_others(image)
    return image


def cache_folder() -> Path:
    """Return the folder of the images, which stay between runs."""
    if chosen := os.environ.get("IPVSD_VM_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ipvs-estoff-guard" / "images"


def scratch_folder() -> str:
    """Return the folder for large temporary files: not /tmp, which may be in memory."""
    return os.environ.get("TMPDIR", "/var/tmp")


def _key(suite: str, packages: tuple[str, ...]) -> str:
    """Hash everything that decides an image's contents, except the archive's present state."""
    digest = hashlib.sha256(repr((FORMAT, suite, _mmdebstrap(suite, packages))).encode())
    inputs = [IMAGE_INPUTS]
    if suite in MODULES:
        compiled_with, name = MODULES[suite]
        inputs.append(HERE / name)
        digest.update(repr(compiled_with).encode())
    if suite == AARCH64:
        inputs.append(HERE / AARCH64)
    for path in sorted(p for folder in inputs for p in folder.rglob("*") if p.is_file()):
        digest.update(f"\0{path.relative_to(HERE)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _mmdebstrap(suite: str, packages: tuple[str, ...]) -> list[str]:
    """Return the bootstrap command without its hooks; only the hooks write files."""
    if suite == AARCH64:
        options = ("--variant=extract", "--architectures=arm64")
    else:
        options = ("--variant=essential",)
    return [
        "mmdebstrap",
        *options,
        "--format=null",
        "--include=" + ",".join(packages),
        *APT_OPTIONS.get(suite, ()),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED),
        *(f"--dpkgopt=path-include={pattern}" for pattern in _wanted(packages)),
        RELEASES.get(suite, suite),
        "-",
    ]


def _wanted(packages: tuple[str, ...]) -> tuple[str, ...]:
    return WANTED + (CLIENT_MODULES if set(CLIENT_PACKAGES) <= set(packages) else ())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that two processes that want one image build it once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_into(image: Image, packages: tuple[str, ...]) -> None:
    with built_into(image.folder) as work:
        if image.suite in MODULES:
            compiled_with, name = MODULES[image.suite]
            run_hook(work, image.suite, compiled_with, f"{name}.sh")
        script = "customize.sh" if image.is_native else f"{AARCH64}/root.sh"
        run_hook(work, image.suite, packages, script)


@contextlib.contextmanager
def built_into(folder: Path) -> Iterator[Path]:
    """Yield a workspace, and make the folder of what hooks leave in its `out`.

    It has a temporary name and is renamed at the end, so that each such folder is complete.
    """
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        with workspace() as work:
            yield work
            keep(work / "out", partial)
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """Make a folder that mmdebstrap's hooks can read and write under any user id."""
    work = Path(tempfile.mkdtemp(prefix="ipvsd-vm-", dir=scratch_folder()))
    try:
        shutil.copytree(IMAGE_INPUTS, work / "in")
        for name in (AARCH64, KUBERNETES, *(folder for _, folder in MODULES.values())):
            shutil.copytree(HERE / name, work / "in" / name)
        subprocess.run(["chmod", "-R", "a+rX", work], check=True)
        # An ordinary user's hooks run under one of the user's subordinate ids. Sticky, so that
        # others cannot replace files here, and we can still remove the files of such an id.
        for folder in (work, work / "out", work / "out" / "modules"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755 if os.geteuid() == 0 else 0o1777)
        yield work
    finally:
        shutil.rmtree(work)


def run_hook(work: Path, suite: str, packages: tuple[str, ...], script: str) -> None:
    """Bootstrap a root folder; one of our scripts gets it as $1, and the workspace as $2."""
    command = _mmdebstrap(suite, packages)
    hook = f'sh -eu {shlex.quote(str(work / "in" / script))} "$1" {shlex.quote(str(work))}'
    # What is only unpacked gets no other hook.
    when = "extract" if suite == AARCH64 else "customize"
    command.insert(1, f"--{when}-hook={hook}")
    env = os.environ | {
        "TMPDIR": str(work),
        "INITRD": "No",  # Debian's kernel hook would spend half a minute on an initramfs
        "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",  # mke2fs, for an ordinary user
    }
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise BuildError(f"{suite}: mmdebstrap exited with {done.returncode}:\n{tail}")


def keep(source: Path, target: Path) -> None:
    """Copy the results out of the workspace, with the holes of the disk image."""
    subprocess.run(["cp", "-r", "--sparse=always", f"{source}/.", target], check=True)


def _remove_others(image: Image) -> None:
    """Remove older images of the same name; a machine that runs on one keeps its open files."""
    name = image.folder.name.rpartition("-")[0]
    for folder in image.folder.parent.glob(f"{name}-*"):
        if folder != image.folder:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Build the named suites, or those of every day: one waits for the mirror, one computes."""
    parser = argparse.ArgumentParser(prog="images", description=main.__doc__)
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], default=[])
    with ThreadPoolExecutor(max_workers=2) as pool:
        for line in pool.map(_timed, parser.parse_args().suite or EVERYDAY):
            print(line, flush=True)


def _timed(suite: str) -> str:
    started = time.monotonic()
    return f"{build(suite).folder}  {time.monotonic() - started:.1f} s"


if __name__ == "__main__":
    main()
