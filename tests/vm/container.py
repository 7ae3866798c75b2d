"""The container image, and the guard running from it, with podman, as the Helm chart has it."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .command import PATIENCE_S
from .machine import Machine
from .repository import BUILD, HOME

NAME = "guard-container"
# Apart from the storage of the tests' other containers, which has another driver.
PODMAN = "podman --root=/srv/guard-podman --runroot=/run/guard-podman"
IMAGE = "localhost/ipvs-estoff-guard:test"
GUEST_ARCHIVE = "/srv/guard-image.tar"

# What the chart gives the container; tests show what is lost without each.
CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "DAC_READ_SEARCH")
NAMESPACES = ("network", "pid")
RUNTIME_FOLDER = "/run/ipvs-estoff-guard"
# Path on the host: options of the mount. Each lies below /host in the container. Read-only ones are
# so only at their top: tracefs, a mount of its own below /sys/kernel, can be written.
MOUNTS = {
    "/proc": "rw",
    "/sys/kernel": "ro,rslave",
    "/sys/module": "ro",
    RUNTIME_FOLDER: "rw",
    "/etc/machine-id": "ro",
}


def build() -> Path:
    """Make the image of the working tree; return its archive."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        storage = BUILD / "podman"
        command = [
            "make", "-C", str(HOME), "image", f"PYTHON={sys.executable}", f"IMAGE={IMAGE}",
            f"IMAGE_DIR={BUILD}/container",
            f"PODMAN=podman --root={storage} --runroot={storage}-run --storage-driver=vfs",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"make image failed:\n{done.stdout}\n{done.stderr}")
    (archive,) = (BUILD / "container").glob("*-image.tar")
    return archive


class GuardContainer:
    """A container that guards the machine; without podman's own defaults that the chart lacks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.succeed = machine.succeed

    def load(self, archive: Path) -> None:
        """Load the image into the machine, if it is not there yet."""
        if self.machine.execute(f"{PODMAN} image exists {IMAGE}").status:
            self.machine.copy_in(archive, GUEST_ARCHIVE)
            self.succeed(
                f"{PODMAN} load --quiet --input {GUEST_ARCHIVE}; rm {GUEST_ARCHIVE}",
                timeout=PATIENCE_S * 10,
            )

    def start(
        self, *without: str, options: str = "--security-opt apparmor=unconfined", config: str = ""
    ) -> None:
        """Start it without some capabilities, namespaces of the host, or mounts."""
        words = [f"--{one} host" for one in NAMESPACES if one not in without]
        words += [f"--cap-add {one}" for one in CAPABILITIES if one not in without]
        words += [
            f"--volume {path}:/host{path}:{how}"
            for path, how in MOUNTS.items()
            if path not in without
        ]
        # A ConfigMap in Kubernetes; without a file the guard has its defaults.
        folder = "/srv/guard-configuration"
        self.succeed(
            f"mkdir -p {folder} {RUNTIME_FOLDER}; cat >{folder}/guard.conf", input=config.encode()
        )
        words.append(f"--volume {folder}:/host/etc/ipvs-estoff-guard:ro")
        self.succeed(
            f"{PODMAN} run --detach --name {NAME} --replace --read-only --cap-drop ALL "
            f"--security-opt no-new-privileges {' '.join(words)} {options} {IMAGE}",
            timeout=PATIENCE_S * 4,
        )

    def signal(self, name: str) -> None:
        """Send a signal to the daemon."""
        self.succeed(f"{PODMAN} kill --signal {name} {NAME}")

    def wait_until_alive(self, name: str = NAME) -> None:
        """Wait until its health check succeeds."""
        command = f"{PODMAN} exec {name} ipvsd-alive"
        self.machine.wait_until_succeeds(command, timeout=PATIENCE_S * 2)

    def wait_for_log(self, words: str) -> None:
        """Wait until it has logged something."""
        self.machine.wait_until_succeeds(
            f"{PODMAN} logs {NAME} 2>&1 | grep -qF '{words}'", timeout=PATIENCE_S * 2
        )

    def log(self) -> str:
        """Return what it has logged."""
        return self.succeed(f"{PODMAN} logs {NAME} 2>&1")

    def status(self) -> Any:
        """Return what `ipvsd status --json` prints in the container."""
        result = self.machine.execute(f"{PODMAN} exec {NAME} ipvsd status --json")
        return json.loads(result.stdout)

    def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        return int(self.succeed(f"{PODMAN} wait {NAME}", timeout=PATIENCE_S))

    def kill(self) -> None:
        """Kill the daemon, as the kernel does when memory is short."""
        self.succeed(f"{PODMAN} kill --signal KILL {NAME}")
        self.wait()

    def remove(self) -> None:
        """End and remove it, if it is there."""
        self.succeed(f"{PODMAN} rm --force --ignore --time 5 {NAME}", timeout=PATIENCE_S * 2)
