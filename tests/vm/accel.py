"""Finds out whether KVM really works here."""

import os
import subprocess
from pathlib import Path

from . import images

KVM = ["-accel", "kvm", "-cpu", "host"]
# Older processor models boot no faster than the one with everything.
TCG = ["-accel", "tcg,thread={}", "-cpu", "max"]

# Under KVM the probe takes about a second; where KVM is there in name only it never ends.
PROBE_TIMEOUT_S = 10
PROBE_ARGUMENT = "harness.probe"
PROBE_WORD = b"harness-probe-ok"

QEMU = [
    "qemu-system-x86_64", "-machine", "q35", "-nodefaults", "-no-user-config",
    "-display", "none", "-no-reboot",
]  # fmt: skip


def arguments(image: images.Image, parallel: bool) -> list[str]:
    """How QEMU is to run the processors of this image.

    Emulated in `parallel`, each has a thread of its own: faster where the host has nothing else to
    do. But Linux 7.2 crashed so, at a place that a probe has it patch while it runs
    (ttwu_do_activate+0x8c, a breakpoint that nobody knew): the suspicion is on the emulation.
    """
    if accelerator(image) == "kvm":
        return KVM
    return [word.format("multi" if parallel else "single") for word in TCG]


def accelerator(image: images.Image) -> str:
    """The fastest accelerator that has been seen to boot a kernel on this host since it started."""
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
    """Boot the image's kernel: /dev/kvm may be there, and open, without a processor that has it."""
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
