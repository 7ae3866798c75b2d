# shellcheck shell=sh
# Compiles our test modules for the suite's kernel in a root folder ($1) that is then thrown away.
root=$1 work=$2

cp -r "$work/in/modules" "$root/tmp/modules"
for folder in "$root"/tmp/modules/*/; do
    name=$(basename "$folder")
    chroot "$root" sh -c "make -C /lib/modules/*/build M=/tmp/modules/$name modules"
    cp "$folder"/*.ko "$work/out/modules/"
done
