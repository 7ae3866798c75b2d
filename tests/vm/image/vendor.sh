# shellcheck shell=sh
# Compiles the ip_vs of the suite's kernel with what vendors have added, in a root folder ($1) that
# is then thrown away.
root=$1 work=$2

tree=$root/tmp/vendor
mkdir -p "$tree/include/net"
chroot "$root" sh -c 'tar -xJf /usr/src/linux-source-*.tar.xz -C /tmp --strip-components=1 \
    --wildcards "*/net/netfilter/ipvs/*" "*/include/net/ip_vs.h"'
cp "$root"/tmp/net/netfilter/ipvs/* "$work"/in/vendor/vendor.* "$tree"
cp "$root/tmp/include/net/ip_vs.h" "$tree/include/net/"
python3 "$work/in/vendor/edit.py" "$tree"
chroot "$root" sh -c 'make -C /lib/modules/*/build M=/tmp/vendor modules && strip -g /tmp/vendor/*.ko'
mkdir "$work/out/updates"
cp "$tree"/*.ko "$work/out/updates/"
