# shellcheck shell=sh
# Turns a root folder ($1) of unpacked packages into the files of an image ($2/out); runs inside
# mmdebstrap. The programs in that folder are for another processor: none of them runs here.
root=$1 work=$2

# Each comes with the modules that it needs.
modules='virtio_pci virtio_console ip_vs ip_vs_rr'

release=$(ls "$root/lib/modules")
mv "$root/boot/vmlinuz-$release" "$work/out/kernel"

depmod --basedir "$root" "$release"
for module in $modules; do
    modprobe --config "$root/etc/modprobe.d" --dirname "$root" --set-version "$release" \
        --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' >"$work/wanted"
find "$root/lib/modules" -name '*.ko*' | while read -r module; do
    grep -q "/${module##*/}\$" "$work/wanted" || rm "$module"
done
depmod --basedir "$root" "$release"

# What the machine never reads: the kernel unpacks all of the root into memory at each boot.
rm -rf "${root:?}"/boot "${root:?}"/usr/share/* "$root"/usr/lib/linux-image-* "$root"/usr/lib/klibc \
    "$root"/usr/bin/*perl* "$root"/usr/lib/*/*perl* "$root"/usr/lib/*/gconv "$root"/lib/udev \
    "$root"/var/cache/* "$root"/var/lib/apt

# Made by maintainer scripts, which have not run.
ln -s bash "$root/bin/sh"

mkdir -p "$root/usr/local/lib"
cp -r "$work/in/overlay/usr/local/lib/harness" "$root/usr/local/lib/"
install -m 755 "$work/in/aarch64/init" "$root/init"
# Without what mmdebstrap has mounted.
(cd "$root" && find . -xdev -path './dev/*' -prune -o -print | LC_ALL=C sort |
    cpio --create --format=newc --quiet) >"$work/out/initrd"
