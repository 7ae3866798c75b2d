"""Makes the kernel and the initramfs that QEMU boots; runs in the image's own root."""

import lzma
import os
import struct
import subprocess
import sys
from pathlib import Path

# In load order; a name that the kernel has built in, or no longer has, is passed over.
# crc32c_generic comes first: libcrc32c and ext4 ask for the algorithm, not for the module.
MODULES = ("crc32c_generic", "virtio_pci", "virtio_blk", "virtio_console", "ext4")

# The boot protocol's header in a bzImage (Documentation/arch/x86/boot.rst).
SETUP_SECTORS_AT = 0x1F1
PAYLOAD_AT = 0x248

ELF_MAGIC = b"\x7fELF"
XZ_MAGIC = b"\xfd7zXZ\0"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

INIT = """#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
case $(busybox cat /proc/cmdline) in *harness.probe*)
    echo harness-probe-ok
    busybox poweroff -f
esac
busybox mount -t devtmpfs dev /dev
for module in /modules/*; do
    busybox insmod $module
done
busybox mount -t ext4 -o noatime /dev/vda /root
busybox umount /proc
busybox mount -o move /dev /root/dev
exec busybox switch_root /root /sbin/init
"""


def main() -> None:
    """Write both to the paths given as arguments."""
    kernel, initrd = map(Path, sys.argv[1:])
    bzimage = next(Path("/boot").glob("vmlinuz-*"))
    kernel.write_bytes(uncompressed_kernel(bzimage.read_bytes()))
    initrd.write_bytes(initramfs(bzimage.name.partition("-")[2]))


def uncompressed_kernel(bzimage: bytes) -> bytes:
    """The ELF kernel inside: QEMU enters it by PVH and saves 5 s of emulated unpacking."""
    offset, length = struct.unpack_from("<II", bzimage, PAYLOAD_AT)
    start = (bzimage[SETUP_SECTORS_AT] + 1) * 512 + offset
    payload = unpacked(bzimage[start : start + length])
    # In a compression that is not known here QEMU boots it as well, only slower.
    return payload if payload.startswith(ELF_MAGIC) else bzimage


def initramfs(release: str) -> bytes:
    """A cpio archive with busybox, the few modules that reach the disk, and INIT."""
    files = {"init": INIT.encode(), "bin/busybox": busybox()}
    for number, path in enumerate(module_paths(release)):
        # Not under its own name: by a final .xz, busybox would let the kernel unpack it.
        files[f"modules/{number:02}.ko"] = unpacked(path.read_bytes())
    folders = ("bin", "dev", "modules", "proc", "root")
    return b"".join(
        [cpio_entry(name, b"", 0o040755) for name in folders]
        + [cpio_entry(name, data, 0o100755) for name, data in files.items()]
        + [cpio_entry("TRAILER!!!", b"", 0)]
    )


def busybox() -> bytes:
    """The static busybox; /bin leads there also where it lies in /usr/bin."""
    return Path("/bin/busybox").read_bytes()


def module_paths(release: str) -> list[Path]:
    """Every needed module after what it depends on."""
    found: dict[Path, None] = {}
    for name in MODULES:
        command = ["modprobe", "--set-version", release, "--show-depends", name]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
        for line in shown.splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "insmod":
                found[Path(rest.split()[0])] = None
    return list(found)


def unpacked(data: bytes) -> bytes:
    """A kernel or a module, which Debian compresses in a different way in each release."""
    if data.startswith(XZ_MAGIC):
        return lzma.LZMADecompressor().decompress(data)
    if data.startswith(ZSTD_MAGIC):
        # zstd writes what it could unpack and then complains of the size that a kernel ends with.
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE).stdout
    return data


def cpio_entry(name: str, data: bytes, mode: int) -> bytes:
    """One member in the kernel's "newc" format: hexadecimal fields, parts padded to four bytes."""
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return pad4(header) + pad4(data)


def pad4(data: bytes) -> bytes:
    """Fill up to a multiple of four bytes."""
    return data + b"\0" * (-len(data) % 4)


if __name__ == "__main__":
    os.umask(0o022)
    main()
