#!/bin/sh
# Makes an apt repository of packages: make-apt-repo.sh DIR BASEURL KEY PACKAGE...
#
# A flat one: the packages and their lists lie in the same folder. The time in the lists is
# SOURCE_DATE_EPOCH, which has to be set. KEY is a key id in GNUPGHOME, or empty. With it the list is
# signed (InRelease) and the public key lies beside it; apt needs no signature in the packages.
set -eu

dir=$1
baseurl=$2
key=$3
shift 3
name=ipvs-estoff-guard

# Only what an earlier run made: the folder is the caller's.
rm -f "${dir:?}/$name"_*.deb "$dir/Packages" "$dir/Packages.gz" "$dir/Release" "$dir/InRelease" \
    "$dir/$name.asc" "$dir/$name.sources"
mkdir -p "$dir"
cp -p -- "$@" "$dir/"

(
    cd "$dir"
    apt-ftparchive packages . >Packages
    gzip -9 -n -k Packages
    # Not in the folder yet, or it would list itself.
    release=$(apt-ftparchive -o "APT::FTPArchive::Release::Origin=$name" \
        -o "APT::FTPArchive::Release::Label=$name" \
        -o "APT::FTPArchive::Release::Architectures=all" release .)
    date=$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S UTC')
    printf '%s\n' "$release" | sed "s/^Date: .*/Date: $date/" >Release
)

if [ -n "$key" ]; then
    gpg --batch --quiet --local-user "$key" --digest-algo SHA512 --clearsign \
        --output "$dir/InRelease" "$dir/Release"
    gpg --batch --armor --export "$key" >"$dir/$name.asc"
fi

{
    echo "Types: deb"
    echo "URIs: $baseurl"
    echo "Suites: ./"
    if [ -n "$key" ]; then
        echo "Signed-By: /etc/apt/keyrings/$name.asc"
    else
        echo "Trusted: yes"
    fi
} >"$dir/$name.sources"
echo "$dir: copy $dir/$name.sources to /etc/apt/sources.list.d"
