#!/bin/sh
# Builds a release from a source tarball: make-release.sh TARBALL WORK DIR URL. See release.mk for
# the environment; SOURCE_DATE_EPOCH has to be set.
set -eu
umask 022

tarball=$(realpath "$1")
work=$(realpath -m "$2")
dir=$(realpath -m "$3")
url=$4
name=ipvs-estoff-guard

missing=
for variable in HOME_URL SECURITY_CONTACT MAINTAINER; do
    eval "value=\${$variable:-}"
    [ -n "$value" ] || missing="$missing $variable"
done
if [ -n "$missing" ] && [ "${INTERNAL:-}" != yes ]; then
    cat >&2 <<END
make release: not known yet:$missing
  Whoever installs a release has to know whom to ask, and where to report a vulnerability.
  Give each one to make (make release HOME_URL=https://...), or write it into packaging/home.mk,
  which says what it means. For the use inside an organisation, INTERNAL=yes leaves it out.
END
    exit 2
fi

rm -rf "${work:?}"
mkdir -p "$work" "$dir"
# Only what an earlier run made: the folder is the caller's.
rm -rf "${dir:?}/yum" "$dir/apt"
rm -f "$dir/$name"[-_]* "$dir/ipvs_estoff_guard-"* "$dir/ipvsd.pyz" "$dir/sbom.cdx.json" \
    "$dir/manifest.yaml" \
    "$dir/INSTALL.md" "$dir/SHA256SUMS" "$dir/SHA256SUMS.asc"
tar -x -f "$tarball" -C "$work" --strip-components 1
cd "$work"
# The releases that bundled.txt pins, where they have been fetched already: pip checks their sums.
mkdir -p build/rpm/sources
find "$(dirname "$tarball")" -maxdepth 1 \( -name '*.tar.gz' -o -name bundled.stamp \) \
    ! -name "$name-*" -exec cp -p -t build/rpm/sources {} +

# Nothing of the make that runs this one counts, but what is named here.
unset MAKEFLAGS MAKEOVERRIDES MFLAGS
make --silent PYTHON="$PYTHON" GPG_KEY="${GPG_KEY:-}" RPM_NEEDS= RPMBUILD_FLAGS="${RPMBUILD_FLAGS:-}" \
    RPM_BUILD=build/rpm RPM_DIST= DEB_BUILD=build/deb DEB_DIST= \
    WHEEL_BUILD=build/wheel ZIPAPP=build/ipvsd.pyz \
    BASEURL="$url/yum" REPO_DIR="$dir/yum" REPO_EXTRA= APT_BASEURL="$url/apt" APT_REPO_DIR="$dir/apt" \
    APT_REPO_EXTRA= repo apt-repo wheel doctor sbom chart >"$work/build/release.log"
if [ "${RELEASE_IMAGE:-}" != no ]; then
    make --silent RPM_NEEDS= RPM_BUILD=build/rpm RPM_DIST= IMAGE_DIR=build/container image \
        >>"$work/build/release.log"
    cp -p build/container/*-image.tar "$dir"
fi

cp -p "build/rpm/sources/$(basename "$tarball")" build/rpm/*.rpm build/deb/*.deb build/wheel/*.whl \
    build/ipvsd.pyz build/sbom.cdx.json build/chart/*.tgz deploy/manifest.yaml "$dir"
if [ -n "${GPG_KEY:-}" ]; then # the signed ones
    cp -p "$dir"/yum/*.rpm "$dir"
fi
version=$(basename "$tarball" .tar.gz)
signed=$([ -n "${GPG_KEY:-}" ] && echo signed || echo unsigned)
sed -e "s|@URL@|$url|g" -e "s|@VERSION@|${version#"$name-"}|g" \
    -e "/^<!-- $signed -->$/d" \
    -e "$([ -e "$dir/$(basename "$tarball" .tar.gz)-image.tar" ] || echo '/-image\.tar/d')" \
    -e "/^<!-- $([ "$signed" = signed ] && echo unsigned || echo signed) -->$/,/^$/d" \
    packaging/release.md >"$dir/INSTALL.md"

cd "$dir"
find . -type f ! -name 'SHA256SUMS*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS
if [ -n "${GPG_KEY:-}" ]; then
    gpg --batch --quiet --local-user "$GPG_KEY" --detach-sign --armor SHA256SUMS
fi
rm -rf "${work:?}"
echo "$dir: INSTALL.md has the commands to serve it, and to install from it"
