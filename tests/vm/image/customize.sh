# shellcheck shell=sh
# Turns a bootstrapped root folder ($1) into the files of an image ($2/out); runs inside mmdebstrap.
root=$1 work=$2

# Room for what tests install and log; the file is sparse, so it costs nothing.
disk_size=3G

# Slow the boot, or wake up in the middle of a test.
masked='
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
logrotate.timer man-db.timer dnf-makecache.timer systemd-tmpfiles-clean.timer
e2scrub_reap.service ldconfig.service systemd-update-done.service ipvsadm.service procps.service systemd-binfmt.service
systemd-hwdb-update.service systemd-journal-catalog-update.service systemd-logind.service
systemd-networkd.service systemd-networkd-wait-online.service systemd-pstore.service
systemd-random-seed.service systemd-sysusers.service systemd-timesyncd.service
systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-user-sessions.service
modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service
modprobe@fuse.service modprobe@loop.service
netavark-dhcp-proxy.service netavark-dhcp-proxy.socket netavark-firewalld-reload.service
podman-auto-update.service podman-auto-update.timer podman-clean-transient.service podman-restart.service podman.service podman.socket
systemd-logind-varlink.socket dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount
proc-sys-fs-binfmt_misc.automount
getty.target getty@tty1.service serial-getty@ttyS0.service getty-static.service
'

in_chroot() { # script [argument ...]
    script=$1
    shift
    chroot "$root" python3 -B - "$@" <"$work/in/$script"
}

cp -r "$work/in/overlay/." "$root"
for unit in $masked; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
mkdir -p "$root/etc/systemd/system/sysinit.target.wants"
ln -sf ../harness-agent.service "$root/etc/systemd/system/sysinit.target.wants/"
sed -i "s/^root:[^:]*:/root::/" "$root/etc/shadow"
rm -f "$root/etc/resolv.conf" "$root/etc/fstab"
chroot "$root" useradd --create-home --uid 1000 tester # also gives it subordinate ids
rm -f "$root"/usr/lib/systemd/system/multi-user.target.wants/dbus.service # its socket starts it

in_chroot stub.py
in_chroot bootfiles.py /tmp/kernel /tmp/initrd
mv "$root/tmp/kernel" "$root/tmp/initrd" "$work/out/"
rm -rf "${root:?}"/boot/* "${root:?}"/var/cache/* "$root/usr/lib/udev/hwdb.bin"

if [ -d "$work/out/updates" ]; then # depmod prefers them to the kernel's own modules
    release=$(ls "$root/lib/modules")
    mv "$work/out/updates" "$root/lib/modules/$release/"
    chroot "$root" depmod "$release"
fi

mkdir -p "$root/opt"
cp -r "$work/out/modules" "$root/opt/test-modules"

# Without a journal and checksums: an image that is thrown away after each use needs neither.
# The plain bind mount shows the folder without what mmdebstrap has mounted below it.
unshare --mount sh -eu -s "$root" "$work/out/disk" "$disk_size" <<'END'
    mount --bind "$1" /mnt
    mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^resize_inode -m 0 -d /mnt "$2" "$3"
END
