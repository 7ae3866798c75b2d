"""A virtual machine for a test: start it, run commands, read its journal, stop it."""

import io
import json
import os
import shlex
import tarfile
import tempfile
import time
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, Self

from .command import COMMAND_TIMEOUT_S, CommandFailed, Job, Result
from .images import Image
from .qemu import MachineGone, Qemu

# Emulated, a boot takes 10 to 40 s; on a host that is busy with something else, minutes.
BOOT_TIMEOUT_S = 600

# Between two tries of a condition; a try costs an emulated guest about 50 ms.
RETRY_S = 0.2


class UnitFailed(AssertionError):
    """A unit that was waited for has failed."""


class Machine:
    """One machine on a temporary copy of an image."""

    def __init__(
        self,
        image: Image,
        cpus: int = 2,
        memory_mb: int = 2048,
        ssh_port: int | None = None,
        possible_cpus: int = 0,
        parallel: bool = False,
        security: str = "none",
    ) -> None:
        """With more `possible_cpus` than `cpus` the kernel counts for CPUs that could be added.

        For `parallel` see accel.arguments(); `security` is the kernel's module for that. With an
        `ssh_port` of this machine's loopback the guest has a network, and its SSH is there.
        """
        self.image = image
        count = f"{cpus},maxcpus={max(cpus, possible_cpus)}"
        self._hardware = (count, memory_mb, ssh_port, parallel, security)
        self._qemu: Qemu | None = None
        self._console = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Boot, and return when systemd, if the image has it, has started everything."""
        self._qemu = Qemu(self.image, *self._hardware)
        try:
            self._wait_for_boot(self._qemu)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Switch the machine off at once and remove its files on the host."""
        if self._qemu:
            self._console = self._qemu.console()
            self._qemu.stop()
            self._qemu = None

    def soft_reboot(self) -> None:
        """Have systemd end all processes and start anew, on the same kernel (systemd 254)."""
        if not self._qemu:
            raise MachineGone("the machine is not running")
        self._qemu.channel.expect_ready()
        self.start_background("systemctl soft-reboot")  # never answered: the agent ends too
        self._wait_for_boot(self._qemu)

    @property
    def running(self) -> bool:
        """Return whether the machine runs: started, not stopped, and not ended by itself."""
        return self._qemu is not None and self._qemu.running

    def console(self) -> str:
        """Return the output of the serial console so far."""
        return self._qemu.console() if self._qemu else self._console

    def start_background(self, command: str, *, input: bytes | None = None) -> Job:
        """Start a command in bash and return at once."""
        if not self._qemu:
            raise MachineGone("the machine is not running")
        return Job(self._qemu, command, input or b"")

    def execute(
        self, command: str, *, input: bytes | None = None, timeout: float = COMMAND_TIMEOUT_S
    ) -> Result:
        """Run a command in bash and return its result.

        As with subprocess, it ends when all have closed its streams: redirect those of daemons.
        """
        return self.start_background(command, input=input).wait(timeout)

    def succeed(
        self, command: str, *, input: bytes | None = None, timeout: float = COMMAND_TIMEOUT_S
    ) -> str:
        """Run a command that must exit with 0; return its standard output."""
        result = self.execute(command, input=input, timeout=timeout)
        if result.status:
            raise CommandFailed(f"must succeed: {result}")
        return result.stdout

    def fail(
        self, command: str, *, input: bytes | None = None, timeout: float = COMMAND_TIMEOUT_S
    ) -> str:
        """Run a command that must not exit with 0; return its standard output."""
        result = self.execute(command, input=input, timeout=timeout)
        if not result.status:
            raise CommandFailed(f"must fail: {result}")
        return result.stdout

    def wait_until_succeeds(self, command: str, timeout: float = COMMAND_TIMEOUT_S) -> str:
        """Repeat a command until it exits with 0; only the last failure is shown."""
        deadline = time.monotonic() + timeout
        while (result := self.execute(command, timeout=timeout)).status:
            if time.monotonic() > deadline:
                raise CommandFailed(f"still failing after {timeout} s: {result}")
            time.sleep(RETRY_S)
        return result.stdout

    def wait_for_unit(self, name: str, timeout: float = COMMAND_TIMEOUT_S) -> None:
        """Wait until a unit is active; one that has failed ends the wait at once."""
        show = f"systemctl show --property=ActiveState --value {shlex.quote(name)}"
        state = self.wait_until_succeeds(
            f"state=$({show}); echo $state; [[ $state = active || $state = failed ]]", timeout
        )
        if state.strip() == "failed":
            lines = "\n".join(str(entry.get("MESSAGE")) for entry in self.journal(name))
            raise UnitFailed(f"{name} has failed; its journal:\n{lines}")

    def journal(
        self, unit: str | None = None, *, since_cursor: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the journal's entries of one unit or all, from the start or after a cursor."""
        command = "journalctl --sync && journalctl --output=json --all --no-pager --quiet"
        if unit:
            command += f" --unit={shlex.quote(unit)}"
        if since_cursor:
            command += f" --after-cursor={shlex.quote(since_cursor)}"
        return [json.loads(line) for line in self.succeed(command).splitlines()]

    def journal_cursor(self) -> str:
        """Return the cursor at the journal's present end."""
        shown = self.succeed("journalctl --sync && journalctl --lines=0 --show-cursor --quiet")
        return shown.strip().removeprefix("-- cursor: ")

    def copy_in(self, host_path: str | os.PathLike[str], guest_path: str) -> None:
        """Copy a file or a folder to exactly this absolute path in the guest, as root's."""
        folder, _, name = guest_path.rpartition("/")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(host_path, arcname=name, filter=_owned_by_root)
        where = shlex.quote(folder + "/")
        self.succeed(f"mkdir -p {where} && tar -x -C {where}", input=archive.getvalue())

    def copy_out(self, guest_path: str, host_path: str | os.PathLike[str]) -> None:
        """Copy a file or a folder of the guest to exactly this path on the host."""
        folder, _, name = guest_path.rpartition("/")
        command = f"tar -c -C {shlex.quote(folder + '/')} -- {shlex.quote(name)}"
        answer = self.start_background(command).wait_bytes()
        if answer.status:
            raise CommandFailed(f"{command}: {answer.stderr.decode(errors='replace')}")
        target = Path(host_path)
        with tempfile.TemporaryDirectory(dir=target.parent) as unpacked:
            with tarfile.open(fileobj=io.BytesIO(answer.stdout)) as tar:
                tar.extractall(unpacked, filter="tar")
            Path(unpacked, name).rename(target)

    def _wait_for_boot(self, qemu: Qemu) -> None:
        try:
            with qemu.explained():
                qemu.channel.ready.result(BOOT_TIMEOUT_S)
        except FutureTimeout:
            raise qemu.gone(f"no answer in {BOOT_TIMEOUT_S} s") from None
        if self.image.is_native:
            self.execute("systemctl is-system-running --wait", timeout=BOOT_TIMEOUT_S)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
