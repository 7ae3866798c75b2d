#!/bin/sh
# The command ipvsd: finds the system's own Python and becomes it (exec, so that the process that
# systemd started is the daemon itself).
#
# EL8 comes first, since "python3" may be any of several Pythons there and only the platform's has
# the system's libraries. -I keeps the environment, the user's site directory and the working
# directory out of a program that runs as root; -B leaves no bytecode but that
# which the package makes, and takes away, by itself.

for python in /usr/libexec/platform-python /usr/bin/python3; do
    if [ -x "$python" ]; then
        exec "$python" -I -B /usr/share/ipvs-estoff-guard "$@"
    fi
done

echo "ipvsd: Python 3 not found: neither /usr/libexec/platform-python nor /usr/bin/python3 can be executed" >&2
exit 5
