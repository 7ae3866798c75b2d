"""One QEMU process: an image booted on a temporary disk, with a channel and a serial console."""

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .accel import program
from .channel import Channel, ChannelClosed
from .images import Image, scratch_folder

KERNEL_ARGUMENTS = (
    "console={} quiet loglevel=4 systemd.show_status=auto "
    "panic=-1 "  # together with -no-reboot: a panic ends the machine, and so every wait
    "no_timer_check "  # on a busy host the emulated timer fails a check that ends in a panic
    "net.ifnames=0 cryptomgr.notests mitigations=off random.trust_cpu=on "
    "systemd.ssh_auto=no"  # otherwise newer versions load the vsock modules
)

CONSOLE_TAIL_LINES = 40
SPARE_DISK_BYTES = 16 * 2**20


class MachineGone(AssertionError):
    """The machine ended, or never booted; the message shows the end of its console."""


class Qemu:
    """A running machine; stop() removes all its files on the host."""

    def __init__(
        self,
        image: Image,
        cpus: str,
        memory_mb: int,
        ssh_port: int | None,
        parallel: bool,
        security: str,
    ) -> None:
        with contextlib.ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="ipvsd-vm-", dir=scratch_folder())
            self._folder = Path(stack.enter_context(folder))
            ours, its = socket.socketpair()
            command = program(image, parallel)
            command += _hardware(image, cpus, memory_mb, ssh_port, its.fileno(), self._console_file)
            command += _disks(image, self._folder) if image.is_native else []
            console = "ttyS0" if image.is_native else "ttyAMA0"
            command += ["-append", f"{KERNEL_ARGUMENTS.format(console)} security={security}"]
            with its:
                self._process = self._spawn(command, its.fileno())
            stack.callback(self._kill)
            self.channel = Channel(ours)
            stack.callback(self.channel.close)
            self._cleanup = stack.pop_all()

    def console(self) -> str:
        """Return the output of the guest's serial port and QEMU's standard error."""
        files = (self._console_file, self._messages_file)
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    @property
    def running(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def gone(self, what: str) -> MachineGone:
        """Return the error for a machine that does not answer any more."""
        tail = "\n".join(self.console().splitlines()[-CONSOLE_TAIL_LINES:])
        return MachineGone(f"{what}; its console ends with:\n{tail}")

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the channel's end into an error that shows why."""
        try:
            yield
        except ChannelClosed as error:
            raise self.gone("the machine has ended") from error

    def stop(self) -> None:
        """Switch off at once."""
        self._cleanup.close()

    @property
    def _console_file(self) -> Path:
        return self._folder / "console"

    @property
    def _messages_file(self) -> Path:
        return self._folder / "qemu"

    def _spawn(self, command: list[str], channel: int) -> subprocess.Popen[bytes]:
        with self._messages_file.open("wb") as messages:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                env=os.environ | {"TMPDIR": str(self._folder)},  # the disk's overlay
                pass_fds=[channel],
                start_new_session=True,  # Ctrl-C is for the test, which then stops the machine
            )

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _disks(image: Image, folder: Path) -> list[str]:
    root = f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"
    return ["-drive", root, "-drive", f"file={_spare_disk(folder)},format=raw,if=virtio"]


def _spare_disk(folder: Path) -> Path:
    """Make a small disk with a file system, /dev/vdb, which a test can freeze."""
    disk = folder / "spare"
    with disk.open("wb") as file:
        file.truncate(SPARE_DISK_BYTES)
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"  # for an ordinary user
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", disk], env=os.environ | {"PATH": path}, check=True
    )
    return disk


def _hardware(
    image: Image, cpus: str, memory_mb: int, ssh_port: int | None, channel: int, console: Path
) -> list[str]:
    net = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{ssh_port}-:22"
    nic = ["-netdev", net, "-device", "virtio-net-pci,netdev=net"] if ssh_port else []
    return [
        "-smp", cpus, "-m", f"{memory_mb}",
        "-kernel", f"{image.kernel}", "-initrd", f"{image.initrd}",
        "-serial", f"file:{console}",
        "-device", "virtio-serial-pci", "-chardev", f"socket,id=channel,fd={channel}",
        "-device", "virtserialport,chardev=channel,nr=1",  # nr gives it its name, vport0p1
        *nic,
    ]  # fmt: skip
