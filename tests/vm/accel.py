"""Chooses the accelerator of the machines: KVM where it really works, else emulation."""

import os
import subprocess
from pathlib import Path

from . import images

KVM = ["-accel", "kvm", "-cpu", "host"]
# Older processor models boot no faster than `max`.
TCG = ["-accel", "tcg,thread={}", "-cpu", "max"]

# Under KVM the probe takes about a second; where /dev/kvm exists but does not work, it never ends.
PROBE_TIMEOUT_S = 10
PROBE_ARGUMENT = "harness.probe"
PROBE_WORD = b"harness-probe-ok"

_COMMON = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
QEMU = ["qemu-system-x86_64", "-machine", "q35", *_COMMON]
# With the model `max` a boot takes twice as long: authenticated pointers are slow to emulate.
QEMU_AARCH64 = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72", *_COMMON]


def program(image: images.Image, parallel: bool) -> list[str]:
    """Return QEMU's program for this image, with its arguments for machine and processors."""
    if image.is_native:
        return [*QEMU, *arguments(image, parallel)]
    return [*QEMU_AARCH64, "-accel", "tcg,thread=multi"]


def arguments(image: images.Image, parallel: bool) -> list[str]:
    """Return QEMU's arguments for the processors of this image.

    With `parallel`, each emulated processor has a thread of its own, which is faster on an idle
    host. But Linux 7.2 crashed that way, at a place that a probe patches in the running kernel
    (ttwu_do_activate+0x8c, an unknown breakpoint). The likely cause is the emulation.
    """
    if accelerator(image) == "kvm":
        return KVM
    return [word.format("multi" if parallel else "single") for word in TCG]


def accelerator(image: images.Image) -> str:
    """Return the fastest accelerator that boots a kernel here, tried once after a boot."""
    if chosen := os.environ.get("IPVSD_VM_ACCEL"):
        return chosen
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    remembered = images.cache_folder() / f"accelerator-{boot_id}"
    if not remembered.exists():
        remembered.write_text("kvm" if kvm_boots(image) else "tcg")
    return remembered.read_text()


def kvm_boots(image: images.Image) -> bool:
    """Return whether the image's kernel boots; /dev/kvm may exist where KVM does not work."""
    command = [
        *QEMU, *KVM, "-m", "512", "-serial", "stdio",
        "-kernel", f"{image.kernel}", "-initrd", f"{image.initrd}",
        "-append", f"console=ttyS0 quiet panic=-1 {PROBE_ARGUMENT}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return False
    return PROBE_WORD in done.stdout
