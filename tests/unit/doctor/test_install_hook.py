"""Which commands of install lines only load ip_vs and set sysctls, and which files they apply."""

import pytest

from ipvsd.doctor.install_hook import SYSTEM, loaded_files


@pytest.mark.parametrize(
    "command, files",
    [
        (
            "/sbin/modprobe --ignore-install ip_vs $CMDLINE_OPTS && /sbin/sysctl -q -p",
            ["/etc/sysctl.conf"],
        ),
        (
            "modprobe -i ip-vs; sysctl -p /etc/sysctl.d/50-lb.conf >/dev/null 2>&1 || true",
            ["/etc/sysctl.d/50-lb.conf"],
        ),
        ("modprobe -i ip_vs && sysctl -qp /etc/a /etc/b", ["/etc/a", "/etc/b"]),
        ("modprobe -i ip_vs && sysctl -e --load=/etc/a", ["/etc/a"]),
        ("modprobe -i ip_vs && sysctl --load; systemd-sysctl", ["/etc/sysctl.conf", SYSTEM]),
        ("modprobe -i ip_vs && sysctl -w net.ipv4.vs.run_estimation=0 net/ipv4/vs/conntrack=1", []),
        ("modprobe -i ip_vs && /usr/lib/systemd/systemd-sysctl --prefix=/net/ipv4/vs", []),
        ("modprobe -i ip_vs; sleep 1; echo 0 > /proc/sys/net/ipv4/vs/run_estimation", []),
        ("modprobe -qvs --syslog --quiet --verbose -i ip_vs; :", []),
        ("/bin/sh -c 'modprobe -i ip_vs; sysctl --system'", [SYSTEM]),
    ],
)
def test_nothing_else(command, files):
    assert loaded_files(command, "ip_vs") == files


@pytest.mark.parametrize(
    "command",
    [
        "sysctl -p",
        "sysctl --system",
        "true; sysctl --system",
        "modprobe -r ip_vs; sysctl --system",
        "modprobe --ignore-install -f ip_vs && sysctl -p",
        "modprobe -i -n ip_vs && sysctl -p",
        "modprobe -i --set-version=1 ip_vs && sysctl -p",
        "modprobe ip_vs && sysctl -p",
        "modprobe -i && sysctl -p",
        "modprobe -i ip_vs; modprobe -i ip_vs; sysctl -p",
        "true || modprobe -i ip_vs; sysctl -p",
        "modprobe -i ip_vs conn_tab_bits=20 && sysctl -p",
        "modprobe -i ip_vs && modprobe nf_conntrack && sysctl -p",
        "modprobe -i ip_vs_rr && sysctl -p",
        "modprobe -i ip_vs && sysctl -w net.netfilter.nf_conntrack_max=1000000",
        "modprobe -i ip_vs && sysctl -p sysctl.conf",
        "modprobe -i ip_vs && sysctl -p -",
        "modprobe -i ip_vs && sysctl -p /dev/stdin",
        "modprobe -i ip_vs && sysctl --pattern net.ipv4.vs --system",
        "modprobe -i ip_vs && systemd-sysctl --prefix=/net",
        "modprobe -i ip_vs && systemd-sysctl /etc/sysctl.d/x.conf",
        "modprobe -i ip_vs; sysctl -p; ipvsadm --restore </etc/ipvsadm.rules",
        "modprobe -i ip_vs; echo 0 > /proc/sys/net/ipv4/ip_forward",
        "modprobe -i ip_vs; sysctl -p; logger $(date)",
        "sh -c 'modprobe -i ip_vs; sysctl -p; exec /opt/x'",
        "modprobe -i ip_vs; sysctl -p & /opt/x",
        "modprobe -i ip_vs; sysctl -p | logger",
        "/opt/load-with-sysctl",
        "if modprobe -i ip_vs; then sysctl -p; fi",
    ],
)
def test_something_else(command):
    assert loaded_files(command, "ip_vs") is None
