#!/bin/sh
# Makes a key to sign a test repository with: throwaway-key.sh DIR. Prints the key's id.
#
# DIR becomes its GNUPGHOME. No passphrase, gone in a few days, good for nothing but tests.
# RSA, since the rpm of EL7 knows nothing newer.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: throwaway-key.sh DIR" >&2
    exit 2
fi

GNUPGHOME=$1
export GNUPGHOME
mkdir -p "$GNUPGHOME"
chmod 0700 "$GNUPGHOME"

user="ipvs-estoff-guard throw-away test key <nobody@example.invalid>"
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "$user" rsa3072 sign 7d 2>"$GNUPGHOME/log" || {
    cat "$GNUPGHOME/log" >&2
    exit 1
}
gpg --batch --quiet --with-colons --list-secret-keys "$user" 2>/dev/null | awk -F: '$1 == "fpr" { print $10; exit }'

# The agent would outlive this script and hold the directory; whoever signs gets a new one.
gpgconf --kill gpg-agent
