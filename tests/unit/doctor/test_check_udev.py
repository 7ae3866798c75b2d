"""udev rules that act on ip_vs, in all their spellings."""

import pytest

from ipvsd.doctor import check_udev
from ipvsd.doctor.file_syntax import File
from tests.unit.doctor.findings import WARNING, bad_places

RUN = "net.ipv4.vs.run_estimation"
ON_ADD = 'ACTION=="add", SUBSYSTEM=="module", '
SYSCTL = 'RUN+="/usr/sbin/sysctl --system"'


def places(text):
    return bad_places(check_udev.check([File("/u.rules", text)]))


@pytest.mark.parametrize(
    "why, text",
    [
        ("by name", 'ACTION=="add", KERNEL=="ip_vs", RUN+="/x"'),
        ("by key", f'RUN+="/sbin/sysctl -w {RUN}=0"'),
        ("by prefix", 'A=="b", \\\n RUN+="s --prefix=/net/ipv4/vs"'),
        ("blanks around the operator", ON_ADD + 'KERNEL == "ip_vs", RUN += "/x"'),
        ("no blanks, no commas", 'KERNEL=="ip_vs"RUN+="/x"'),
        ("a glob", ON_ADD + 'KERNEL=="ip_vs*", ' + SYSCTL),
        ("a glob with brackets", 'KERNEL=="ip[_-]vs", RUN+="/x"'),
        ("alternatives", ON_ADD + 'KERNEL=="br_netfilter|ip_vs", RUN+="/x"'),
        ("a path", 'ACTION=="add", DEVPATH=="/module/ip_vs", RUN+="/x"'),
        ("a path in the environment", 'ENV{DEVPATH}=="*/ip_vs", RUN+="/x"'),
        ("any case", 'KERNEL==i"IP_VS", RUN+="/x"'),
        ("escapes", 'KERNEL==e"ip_vs", RUN+="/x"'),
        ("as its own parent", 'KERNELS=="ip_vs", RUN+="/x"'),
        ("no other action", 'ACTION!="remove", KERNEL=="ip_vs", RUN+="/x"'),
        ("all modules, and all sysctls", ON_ADD + SYSCTL),
        ("all modules, and our sysctls", ON_ADD + 'RUN+="systemd-sysctl --prefix=net.ipv4"'),
        ("all but another module", ON_ADD + 'KERNEL!="dummy", RUN+="/x"'),
        ("an unknown condition", 'KERNEL=="ip_vs", ATTR{refcnt}=="0", RUN+="/x"'),
        ("a kind of RUN", 'KERNEL=="ip_vs", RUN{program}+="/x"'),
        ("a final assignment", 'KERNEL=="ip_vs", RUN:="/x"'),
        ("a program", 'KERNEL=="ip_vs", PROGRAM=="/x"'),
        ("an import", 'KERNEL=="ip_vs", IMPORT{program}=="/x"'),
        ("a unit", 'KERNEL=="ip_vs", TAG+="systemd", ENV{SYSTEMD_WANTS}+="lb.service"'),
        ("a value", 'KERNEL=="ip_vs", SYSCTL{net/ipv4/vs/run_estimation}="1"'),
        ("a continued line", 'KERNEL=="ip_vs", \\\n  RUN+="/x"'),
        ("a comment in a continued line", 'KERNEL=="ip_vs", \\\n# x \\\n  RUN+="/x"'),
    ],
)
def test_a_rule_that_acts_on_ip_vs(why, text):
    assert places("\n" + text + "\n") == [(WARNING, "/u.rules:2")], why


@pytest.mark.parametrize(
    "why, text",
    [
        (
            "systemd's own for devices",
            'SUBSYSTEM=="net", RUN+="systemd-sysctl --prefix=/net/ipv4/conf/$name"',
        ),
        (
            "systemd's own for a module",
            ON_ADD + 'KERNEL=="br_netfilter", RUN+="systemd-sysctl --prefix=/net/bridge"',
        ),
        ("all modules, other sysctls", ON_ADD + 'RUN+="systemd-sysctl --prefix=/net/bridge"'),
        ("all modules, another program", ON_ADD + 'RUN+="/usr/bin/logger"'),
        ("a comment", '# KERNEL=="ip_vs", RUN+="/x"'),
        ("a comment with a backslash", '# x \\\nKERNEL=="dummy", RUN+="/x"'),
        ("not ip_vs", ON_ADD + 'KERNEL!="ip_vs", RUN+="/x"'),
        ("no part of the name", 'KERNEL=="ip_v", RUN+="/x"'),
        ("another case", 'KERNEL=="IP_VS", RUN+="/x"'),
        ("at removal", 'ACTION=="remove", KERNEL=="ip_vs", RUN+="/x"'),
        ("without an action", 'KERNEL=="ip_vs", TAG+="x"'),
        ("an action taken away", 'KERNEL=="ip_vs", RUN-="/x"'),
        ("refused by udev", 'KERNEL="ip_vs", RUN+="/x"'),
        ("no rule", 'KERNEL=="ip_vs", RUN+=/x'),
        ("a path of another module", 'DEVPATH=="/module/ip_vs_rr", RUN+="/x"'),
    ],
)
def test_a_rule_that_does_not(why, text):
    assert places(text) == [], why


def test_jumps_are_followed():
    text = 'KERNEL!="ip_vs", GOTO="end"\nRUN+="/x"\nLABEL="end"\nRUN+="/y"\n'
    assert places(text) == [(WARNING, "/u.rules:2")]
    text = 'KERNEL=="ip_vs", GOTO="end"\nKERNEL=="ip_*", RUN+="/x"\nLABEL="end"\n'
    assert places(text) == []
    text = 'ATTR{x}=="1", GOTO="end"\nKERNEL=="ip_vs", RUN+="/x"\nLABEL="end"\n'
    assert places(text) == [(WARNING, "/u.rules:2")]
    text = 'KERNEL=="ip_vs", GOTO="nowhere"\nKERNEL=="ip_vs", RUN+="/x"\n'
    assert places(text) == [(WARNING, "/u.rules:2")]
