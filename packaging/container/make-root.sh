#!/bin/sh -eu
# Makes the root of the container image, as a tar file: few Debian packages, which apt has verified,
# and the program out of the RPM. No program of the packages runs, but Python, which compiles.
#
#     packaging/container/make-root.sh RPM TARGET_FOLDER
#
# Needs SOURCE_DATE_EPOCH: the same packages give the same bytes.

rpm=$(realpath "$1") target=$2
here=$(realpath "$(dirname "$0")")
suite=trixie

mkdir -p "$target"
target=$(realpath "$target")
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir "$root" "$work/debs"
chmod 0755 "$work" "$root"
chmod 0777 "$work/debs" # mmdebstrap may run its hook under another id

packages=$(sed 's/ *#.*//; /^$/d' "$here/packages.txt")
# shellcheck disable=SC2016 # mmdebstrap's own $1: the folder with what apt has fetched
mmdebstrap --quiet --variant=extract --format=null \
    --include="$(echo "$packages" | paste -s -d ,)" \
    --extract-hook='cp "$1"/var/cache/apt/archives/*.deb '"$work/debs" "$suite" -

for package in $packages; do
    for deb in "$work/debs/${package}"_*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --no-same-owner
        # shellcheck disable=SC2016 # fields of dpkg-deb
        dpkg-deb --showformat='${Package} ${Version} ${Architecture}\n' --show "$deb"
    done
done >"$target/packages"
lib=$(echo "$root"/usr/lib/*-linux-gnu)
python=$(echo "$root"/usr/lib/python3.*)

# Documents, other character sets, and programs that nobody runs here. The licences stay.
find "$root/usr/share/doc" -mindepth 2 ! -type d ! -name copyright -delete
rm -rf "$root"/usr/share/man "$root"/usr/share/info "$root"/usr/share/locale "$root"/usr/share/lintian \
    "$root"/usr/share/applications "$root"/usr/share/pixmaps "$root"/usr/share/python3 \
    "$root"/usr/share/base-files "$root"/usr/share/binfmts \
    "$lib/gconv" "$lib/audit" "$root"/etc/update-motd.d "$root"/etc/python3* "${root:?}"/var
find "$root/usr/bin" "$root/usr/sbin" ! -type d ! -name 'python3*' ! -name ldconfig -delete
# Parts of Python's library that need what is left out, and its tests.
rm -rf "$python"/test "$python"/pydoc_data "$python"/turtle* "$python"/sqlite3 "$python"/curses \
    "$python"/_sysconfigdata* "$python"/config-* "$python"/lib-dynload/_test* "$python"/lib-dynload/xx* \
    "$root"/usr/lib/python3/dist-packages/psutil/tests
for name in _ssl _hashlib _bz2 _lzma _sqlite3 readline _curses _curses_panel _dbm _uuid _zstd; do
    rm -f "$python"/lib-dynload/"$name".*
done
find "$root" -name '*.pyc' -delete
find "$root" -depth -type d -empty -delete

# The program, as hosts have it, with what it carries, and its list of contents.
(
    cd "$root"
    rpm2cpio "$rpm" | cpio --quiet -i -m -d --no-absolute-filenames \
        './usr/share/ipvs-estoff-guard/*' './usr/share/licenses/*' './etc/ipvs-estoff-guard/*'
)
install -m 0755 "$here/ipvsd" "$root/usr/bin/ipvsd"
install -m 0755 "$here/ipvsd-alive" "$root/usr/bin/ipvsd-alive"

mkdir -p "$root/usr/share/sbom"
(cd "$here/../.." && python3 packaging/sbom.py "$target/packages") >"$root/usr/share/sbom/ipvs-estoff-guard.cdx.json"
cp "$root/usr/share/sbom/ipvs-estoff-guard.cdx.json" "$target/sbom.cdx.json"

# Where the container's and the host's files are mounted: the root is read-only then.
for folder in dev proc sys run tmp host/proc host/sys/kernel host/sys/module \
    host/run/ipvs-estoff-guard host/etc/ipvs-estoff-guard; do
    mkdir -p "$root/$folder"
done
: >"$root/host/etc/machine-id"

/sbin/ldconfig -X -r "$root"
rm -f "$root/var/cache/ldconfig/aux-cache"
# Compiled here, since nothing can be written there; without a time inside.
unshare --map-root-user --root="$root" /usr/bin/python3 -I -S -B -W ignore -m compileall -q \
    --invalidation-mode unchecked-hash "/usr/lib/$(basename "$python")" /usr/lib/python3 \
    /usr/share/ipvs-estoff-guard

tar -c -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mode='go-w' \
    --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime -f "$target/root.tar" .
