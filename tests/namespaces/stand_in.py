"""A sysctl that every kernel has for each namespace, in place of those of ip_vs."""

from ipvsd.model import Setting

# Every kernel has it for each namespace; 64 in a new one.
KEY = "net.ipv4.ip_default_ttl"
FILE = "/proc/sys/net/ipv4/ip_default_ttl"
STAND_IN = Setting(KEY, "63", "test:1")


def read():
    with open(FILE, encoding="ascii") as file:
        return file.read().strip()
