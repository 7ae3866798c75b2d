#!/bin/sh
# Makes the Debian package of a source tarball: make-deb.sh TARBALL VERSION OUTPUT
#
# Needs dpkg-deb only. The maintainer scripts are written out, as in the spec file, so that they are
# the same whatever debhelper the building host has. The time of every file is SOURCE_DATE_EPOCH,
# which has to be set. gzip: every dpkg reads it, and it gives the same bytes on every host.
set -eu
umask 022

tarball=$(realpath "$1")
version=$2
output=$(realpath -m "$3")
name=ipvs-estoff-guard

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
doc=$root/usr/share/doc/$name
mkdir "$scratch/tree" "$root" "$root/DEBIAN"
tar -x -f "$tarball" -C "$scratch/tree" --strip-components 1
cd "$scratch/tree"

make --silent -f packaging/install.mk install DESTDIR="$root" >/dev/null

install -d "$doc" "$root/usr/share/python3/runtime.d"
install -D -m 0644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/$name"
install -m 0755 packaging/debian/rtupdate "$root/usr/share/python3/runtime.d/$name.rtupdate"
install -m 0644 README.md SECURITY.md packaging/prometheus/$name.rules.yml packaging/prometheus/$name.dashboard.json \
    packaging/debian/README.Debian packaging/debian/copyright "$doc"
gzip -9 -n -c CHANGELOG.md >"$doc/changelog.gz"
# The entries of the spec file, in Debian's form; the newest one is of this very version.
maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)
awk -v name="$name" -v newest="$version" -v maintainer="$maintainer" '
    function finish() { if (day) printf "\n -- %s  %s 00:00:00 +0000\n", maintainer, day }
    /^%changelog/ { reading = 1 }
    !reading { next }
    /^\* / {
        finish()
        if (day) print ""
        printf "%s (%s) unstable; urgency=medium\n\n", name, day ? $NF : newest
        day = $2 ", " $4 " " $3 " " $5
    }
    /^- / { print "  * " substr($0, 3) }
    END { finish() }
' packaging/$name.spec | gzip -9 -n >"$doc/changelog.Debian.gz"

cp packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$root/DEBIAN"
(
    cd "$root"
    find etc -type f | LC_ALL=C sort | sed 's|^|/|' >DEBIAN/conffiles
    find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums
)
# In kibibytes, each file and folder rounded up (deb-substvars(5)), not what this file system takes.
size=$(cd "$root" && find etc usr -printf '%y %s\n' |
    awk '{ kib += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print kib }')
sed -e "s|@VERSION@|$version|" -e "s|@SIZE@|$size|" packaging/debian/control >"$root/DEBIAN/control"

mkdir -p "$(dirname "$output")"
dpkg-deb --root-owner-group -Zgzip -z9 --build "$root" "$output" >/dev/null
