#!/bin/sh
# Makes a yum repository of packages: make-repo.sh DIR BASEURL KEY PACKAGE...
#
# The times in the metadata are SOURCE_DATE_EPOCH, which has to be set.
# KEY is a key id in GNUPGHOME, or empty. With it, copies of the packages and the metadata are
# signed and the public key lies beside them. gzip throughout: the yum of EL7 reads nothing newer.
set -eu

dir=$1
baseurl=$2
key=$3
shift 3
name=ipvs-estoff-guard
public_key=RPM-GPG-KEY-$name

# Only what an earlier run made: the folder is the caller's.
rm -rf "${dir:?}/repodata" "${dir:?}/$public_key" "${dir:?}/$name.repo" "${dir:?}/$name"-*.rpm
mkdir -p "$dir"
cp -p -- "$@" "$dir/"

if [ -n "$key" ]; then
    # Where gpg is differs between distributions; SHA-256 is what the oldest rpm is sure to verify.
    rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $key" \
        --define "_gpg_digest_algo sha256" --define "_gpg_sign_cmd_extra_args --batch" \
        --addsign "$dir"/*.rpm >/dev/null 2>"$dir/rpmsign.log" || {
        cat "$dir/rpmsign.log" >&2
        exit 1
    }
    rm "$dir/rpmsign.log"
    gpg --batch --armor --export "$key" >"$dir/$public_key"
fi

# The same packages give the same metadata, which tell the time of each file and their own.
touch -d "@$SOURCE_DATE_EPOCH" "$dir"/*.rpm
createrepo_c --quiet --no-database --general-compress-type gz --compress-type gz \
    --revision "$SOURCE_DATE_EPOCH" --set-timestamp-to-revision "$dir"

check=0
if [ -n "$key" ]; then
    gpg --batch --quiet --local-user "$key" --detach-sign --armor "$dir/repodata/repomd.xml"
    check=1
fi

{
    echo "[$name]"
    echo "name=$name"
    echo "baseurl=$baseurl"
    echo "enabled=1"
    echo "gpgcheck=$check"
    echo "repo_gpgcheck=$check"
    if [ -n "$key" ]; then
        echo "gpgkey=$baseurl/$public_key"
    fi
} >"$dir/$name.repo"
echo "$dir: copy $dir/$name.repo to /etc/yum.repos.d"
