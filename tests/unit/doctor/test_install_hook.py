"""Which commands of install lines only load ip_vs and set sysctls."""

import pytest

from ipvsd.doctor.install_hook import only_sets_sysctls


@pytest.mark.parametrize(
    "command",
    [
        "/sbin/modprobe --ignore-install ip_vs $CMDLINE_OPTS && /sbin/sysctl -q -p",
        "modprobe -i ip-vs; sysctl -p /etc/sysctl.d/50-lb.conf >/dev/null 2>&1 || true",
        "modprobe -i ip_vs && sysctl -w net.ipv4.vs.run_estimation=0 net/ipv4/vs/conntrack=1",
        "modprobe -i ip_vs && /usr/lib/systemd/systemd-sysctl --prefix=/net/ipv4/vs",
        "modprobe -i ip_vs; sleep 1; echo 0 > /proc/sys/net/ipv4/vs/run_estimation",
        "/bin/sh -c 'modprobe -i ip_vs; sysctl --system'",
        "sysctl -p",
    ],
)
def test_nothing_else(command):
    assert only_sets_sysctls(command, "ip_vs")


@pytest.mark.parametrize(
    "command",
    [
        "modprobe -i ip_vs conn_tab_bits=20 && sysctl -p",
        "modprobe -i ip_vs && modprobe nf_conntrack && sysctl -p",
        "modprobe -i ip_vs_rr && sysctl -p",
        "modprobe -i ip_vs && sysctl -w net.netfilter.nf_conntrack_max=1000000",
        "modprobe -i ip_vs; sysctl -p; ipvsadm --restore </etc/ipvsadm.rules",
        "modprobe -i ip_vs; echo 0 > /proc/sys/net/ipv4/ip_forward",
        "modprobe -i ip_vs; sysctl -p; logger $(date)",
        "sh -c 'modprobe -i ip_vs; sysctl -p; exec /opt/x'",
        "sysctl -p & /opt/x",
        "sysctl -p | logger",
        "/opt/load-with-sysctl",
        "if modprobe -i ip_vs; then sysctl -p; fi",
    ],
)
def test_something_else(command):
    assert not only_sets_sysctls(command, "ip_vs")
