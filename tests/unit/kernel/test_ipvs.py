"""Possible CPUs, services and real servers, read from the kernel's files."""

import pytest

from ipvsd.kernel import ipvs


@pytest.mark.parametrize("text, count", [("0\n", 1), ("0-1\n", 2), ("0-3,8,10-11\n", 7)])
def test_possible_cpus(root, text, count):
    root.write("sys/devices/system/cpu/possible", text)
    assert ipvs.possible_cpus(root.path) == count


def test_possible_cpus_that_are_unknown(root):
    assert ipvs.possible_cpus(root.path) is None
    root.write("sys/devices/system/cpu/possible", "many\n")
    assert ipvs.possible_cpus(root.path) is None


TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
"""

SERVICE = "TCP  0A000001:0050 rr  \n"
FWM = "FWM  00000001 rr\n"
SERVER = "  -> C0A80101:0050      Masq    1      0          0\n"


@pytest.mark.parametrize(
    "text, expected",
    [(TABLE, (0, 0)), (TABLE + SERVICE + SERVER * 2 + FWM + SERVER, (2, 3)), ("", (0, 0))],
    ids=["none", "two with three", "empty"],
)
def test_services_and_real_servers(root, text, expected):
    root.write("proc/thread-self/net/ip_vs", text)
    assert ipvs.table(root.path) == expected


def test_services_where_there_is_no_ip_vs(root):
    assert ipvs.table(root.path) is None
