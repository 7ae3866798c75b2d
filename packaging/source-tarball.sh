#!/bin/sh
# Packs this source tree into a release tarball: source-tarball.sh NAME-VERSION SECONDS OUTPUT
#
# What git tracks, and what it would track (untracked, not ignored), so that an uncommitted change
# is built too; without git's data every file but the well-known litter. Sorted, without owners,
# with normal modes and one time (SECONDS since 1970): the same tree gives the same bytes. The
# project's home, of the environment, is written into the files that name it (see home.mk).
set -eu

stem=$1
seconds=$2
output=$3

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Only a repository of our own counts: an unpacked tarball may lie inside another one's.
if [ -e .git ] && git ls-files -z -c -o --exclude-standard -x /build/ -x /.venv/ >"$scratch/all" 2>/dev/null; then
    # Deleted but not committed: git still lists it, tar would not find it.
    git ls-files -z -d >"$scratch/deleted"
else
    find . \( -name .git -o -name build -o -name dist -o -name .venv -o -name '.*_cache' \
        -o -name .hypothesis -o -name __pycache__ -o -name '*.egg-info' \) -prune \
        -o ! -type d ! -name '*.pyc' -printf '%P\0' >"$scratch/all"
    : >"$scratch/deleted"
fi

export LC_ALL=C
for list in all deleted; do
    sort -z -u "$scratch/$list" >"$scratch/$list.sorted"
done
comm -z -23 "$scratch/all.sorted" "$scratch/deleted.sorted" >"$scratch/files"

tree=.
if [ -n "${HOME_URL:-}${SECURITY_CONTACT:-}${MAINTAINER:-}" ]; then
    tree=$scratch/tree
    mkdir "$tree"
    tar --create --no-recursion --null --files-from "$scratch/files" | tar --extract -C "$tree"
    python3 packaging/fill_home.py "$tree"
fi
tar --create --format gnu --no-recursion --owner root:0 --group root:0 --numeric-owner \
    --mode u=rwX,go=rX --mtime "@$seconds" --transform "s|^|$stem/|S" \
    --directory "$tree" --null --files-from "$scratch/files" --file "$scratch/$stem.tar"
gzip -9 -n "$scratch/$stem.tar"

# A tarball that is there already and the same keeps its time: nothing made from it is out of date.
if ! cmp -s "$scratch/$stem.tar.gz" "$output"; then
    mkdir -p "$(dirname "$output")"
    cp "$scratch/$stem.tar.gz" "$output"
fi
